//! The setup wizards.
