//! Errors are defined in Python and made here, each from the core's own.

use pyo3::prelude::*;

use crate::error::BuildError;
use crate::keyring::KeyringError;
use crate::path;
use crate::pattern;

pyo3::import_exception!(fastcascade.errors, ConfigError);
pyo3::import_exception!(fastcascade.errors, CredentialError);
pyo3::import_exception!(fastcascade.errors, PathError);
pyo3::import_exception!(fastcascade.errors, PatternError);
pyo3::import_exception!(fastcascade.errors, RouteConflict);
pyo3::import_exception!(fastcascade.errors, RouteError);

impl From<BuildError> for PyErr {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Pattern(error) => error.into(),
            BuildError::Conflict { .. } => RouteConflict::new_err(error.to_string()),
            _ => RouteError::new_err(error.to_string()),
        }
    }
}

impl From<pattern::PatternError> for PyErr {
    fn from(error: pattern::PatternError) -> Self {
        PatternError::new_err((error.to_string(), error.index, error.pattern, error.position))
    }
}

impl From<path::PathError> for PyErr {
    fn from(error: path::PathError) -> Self {
        PathError::new_err((error.to_string(), error.position))
    }
}

impl From<KeyringError> for PyErr {
    fn from(error: KeyringError) -> Self {
        CredentialError::new_err(match error {
            KeyringError::Empty => "the secret is empty; a credential needs at least one byte",
            KeyringError::Known => "the secret is on the ring already; remove it first, or rotate to a new one",
            KeyringError::Unknown => "the secret to be replaced is not on the ring, or has expired; add the new one",
        })
    }
}
