//! The compiled core of fastcascade: what a request meets before any handler or model runs.

pub mod adaptive;
mod border;
pub mod bucket;
pub mod cache;
pub mod clock;
mod compile;
mod draft;
pub mod endpoint;
pub mod error;
pub mod eviction;
pub mod exact;
pub mod front;
mod ghosts;
pub mod ids;
pub mod key;
pub mod keyring;
pub mod lru;
pub mod method;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod prefix;
pub mod route;
pub mod router;
pub mod slab;
pub mod tags;
pub mod template;
pub mod text;

#[cfg(feature = "python")]
mod python;
