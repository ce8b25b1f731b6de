//! Connections, before anything is known about who is on them: accepted within limits, given HTTP/1.1, closed when they stall.
//!
//! Knows nothing of what is asked and answered; that is the router's that is handed to [`server::Server::serve`].

pub mod admission;
mod idle;
pub mod server;
pub mod tls;
