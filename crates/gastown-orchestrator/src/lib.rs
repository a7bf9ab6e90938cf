//! The eight operations on towns and rigs, and the driver that carries each to its end.
