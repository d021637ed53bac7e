//! What only root can do, in namespaces of its own where that matters.

