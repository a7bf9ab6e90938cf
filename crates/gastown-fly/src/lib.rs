//! Client of the Fly Machines API; implements the domain's ports for machines, volumes and apps.
