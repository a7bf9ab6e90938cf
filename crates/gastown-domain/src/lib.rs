//! What a town is: ids, names, statuses, configuration, the lifecycle plan, and the ports to the outside.
