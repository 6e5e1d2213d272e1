//! Receivers told through a recorder and through the network.
