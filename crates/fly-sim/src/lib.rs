//! A simulator of the Fly Machines API and of the sandboxes on it, with faults on schedule.
