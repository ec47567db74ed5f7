//! What a reload changes, by name.

use std::{collections::HashMap, sync::Arc};

use super::{Address, Config};
use crate::{sign::Secret, transform::Program};

/// What differs between the config in force and a new one: tables by their names, endpoints by theirs.
///
/// **Invariant:** pure; empty exactly where the new config means the same.
pub fn difference(old: &Config, new: &Config) -> Vec<String> {
    let mut changed = Vec::new();
    let mut note = |differs: bool, name: &str| changed.extend(differs.then(|| name.to_owned()));
    note(old.listen != new.listen, "listen");
    note(admin(old) != admin(new), "admin");
    note((&old.log, old.log_accepted) != (&new.log, new.log_accepted), "log");
    note(old.state != new.state, "state");
    note(old.queue_bytes != new.queue_bytes, "queue");
    note(old.shutdown != new.shutdown, "shutdown");
    let before: HashMap<_, _> = old.endpoints.iter().map(|endpoint| (&endpoint.name, endpoint)).collect();
    let mut gone = before.clone();
    for endpoint in &new.endpoints {
        gone.remove(&endpoint.name);
        match before.get(&endpoint.name) {
            None => changed.push(format!("endpoints.{} added", endpoint.name)),
            Some(old) if *old != endpoint => changed.push(format!("endpoints.{}", endpoint.name)),
            Some(_) => {}
        }
    }
    let gone = old.endpoints.iter().filter(|endpoint| gone.contains_key(&endpoint.name));
    changed.extend(gone.map(|endpoint| format!("endpoints.{} removed", endpoint.name)));
    if routes_differ(old, new) {
        changed.push("routes".to_owned());
    }
    changed
}

/// But for the text that it shows.
fn admin(config: &Config) -> Option<(&Address, &[Secret], &[String])> {
    config.admin.as_ref().map(|admin| (&admin.address, &*admin.tokens, &*admin.hosts))
}

/// Routes name endpoints by their places, which mean nothing across two configs.
fn routes_differ(old: &Config, new: &Config) -> bool {
    let by_name = |config: &Config| -> Vec<_> {
        let names = |to: &[usize]| to.iter().map(|place| config.endpoints[*place].name.clone()).collect::<Vec<_>>();
        let program = |program: &Option<Arc<Program>>| program.as_ref().map(|program| program.source().to_owned());
        let route = |route: &crate::route::Route| {
            let programs = [program(&route.when), program(&route.transform)];
            (route.name.clone(), route.patterns.clone(), programs, names(&route.to), route.active)
        };
        config.routes.iter().map(route).collect()
    };
    by_name(old) != by_name(new)
}
