//! Who makes a request, as `access` found out.

use std::sync::Arc;

use uuid::Uuid;

/// The id also separates idempotency keys of different callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub id: Uuid,
    pub kind: CallerKind,
    pub name: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallerKind {
    Key,
    User,
}

impl CallerKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
        }
    }
}
