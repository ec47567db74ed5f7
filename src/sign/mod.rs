//! By whom: the headers that prove to a receiver who sent a body, and that nobody changed it.
//!
//! **Invariant:** no error and no `Debug` print shows a secret.

mod secret;
mod template;

pub use self::{
    secret::Secret,
    template::{Part, Placeholder, Template, TemplateError},
};
