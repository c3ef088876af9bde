//! What a request meets before any handler or model runs: a cache, a route table, a guard.
//!
//! # The way a request takes
//!
//! ```text
//! path, method, credential, client
//!   |  path, text   bring the path into form, borrowed when it is in form already
//!   |  keyring      whose credential is it?           a probe by keyed hash, no rejection
//!   |  key, cache   has this been answered for them?  the end, if it has
//!   |  router       exact -> prefix -> pattern -> wildcard       400, 404, 405 end here
//!   |  front        may they? 401, 403 end here
//!   |  bucket       as often as this? 429 ends here
//!   v
//! where to go, its params, and the key to file the answer under
//! ```
//!
//! [`front::Front::take`] is all of it in one call. Each part also stands alone, knows nothing of the others,
//! and is tested beside a naive twin.
//!
//! # Precedence
//!
//! Stated in [`router`] and nowhere else: the exact table, then the tree, then the patterns in their order,
//! then the wildcard, and the first that matches wins. Within the tree, at every byte, literal text is tried
//! before a param and a param before a tail, and a choice that leads nowhere is taken back. A route that does
//! not take the method is no match.
//!
//! # What a step costs
//!
//! Inside Rust, in tables that fit into the processor's caches, on the machine of `DESIGN.md`: an exact route
//! some 10 ns, a route with two params 60, a cache hit 15, an admission 35 (25 of them reading the clock), an
//! identification 40 (30 of them hashing the credential). Above 16 MiB memory decides: each table is laid out
//! so that a lookup waits for it three times at most.
//!
//! # Rules the code keeps
//!
//! - Time is an argument. Only [`clock`] reads it.
//! - What leaves a structure is handed out and dropped by the caller, after any lock.
//! - Ids are types of their own. Whatever comes from a request is hashed under a key.
//! - Nothing but the binding's `fastcall.rs` and `record.rs` may use `unsafe`, and without the feature
//!   `python` nothing here can see Python.
//!
//! # Example
//!
//! ```
//! use fastcascade::method::MethodSet;
//! use fastcascade::route::{Pattern, Route};
//! use fastcascade::router::{By, Normalize, Router};
//!
//! let routes = ["/health", "/users/{id}", "/static/{path...}"];
//! let routes = routes.map(|path| Route::new(Pattern::Text(path.to_owned()), path));
//! let router = Router::build(routes, Normalize::Verbatim)?;
//!
//! let found = router.find("/users/42", MethodSet::ANY).ok_or("no route")?;
//! assert_eq!(found.by, By::Prefix);
//! assert_eq!(*router.target(found.route), "/users/{id}");
//! assert_eq!(found.spans.as_slice(), [(7, 9)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub mod vectors;

#[cfg(feature = "python")]
mod python;
