//! A Linux specialised to one application.
