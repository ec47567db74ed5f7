//! Another config, put in force while the sidecar runs.

use std::{collections::HashSet, fs, os::unix::fs::PermissionsExt, sync::Arc, time::SystemTime};

use super::{
    Core, Error,
    doors::{Bound, Doors, Room},
    lanes, warn,
};
use crate::{
    admin::Reload,
    config::{self, Address, Config, Watcher},
    log::{self, diagnostics, record},
    queue::Directory,
    route::Table,
};

impl Core {
    /// The same as [`Core::reload`], but the same content again is no reload.
    pub(super) async fn reload_if_changed(&mut self, doors: &mut Doors, watcher: &mut Watcher) -> Reload {
        if watcher.look().await || self.rejected {
            return self.reload(doors, watcher).await;
        }
        Reload::Loaded { at: SystemTime::now(), changed: Vec::new() }
    }

    /// Reads the config again and puts it in force, all of it or nothing; says what came of it.
    pub(super) async fn reload(&mut self, doors: &mut Doors, watcher: &mut Watcher) -> Reload {
        let path = self.path.clone();
        // A large config takes its time to compile, and deliveries must not wait for it.
        let loaded = tokio::task::spawn_blocking(move || {
            config::load(&path).map(|config| {
                let table = Table::new(Arc::clone(&config.routes));
                (config, table)
            })
        });
        let loaded = loaded.await;
        // Also where it is refused: it may be repaired in another file than the config in force names.
        match &loaded {
            Ok(Ok((config, _))) => watcher.watch(&config.files, config.content),
            Ok(Err(problems)) => watcher.watch(problems.files(), problems.content()),
            Err(_) => {}
        }
        let applied = match loaded {
            Ok(Ok((config, table))) => self.apply(config, table, doors).await,
            Ok(Err(problems)) => Err(Error::Config(problems)),
            Err(panic) => Err(Error::Thread(panic.into())),
        };
        self.rejected = applied.is_err();
        let at = SystemTime::now();
        let reload = match applied {
            Ok(changed) => {
                let names: Vec<&str> = changed.iter().map(String::as_str).collect();
                self.write(&log::Record::Config(record::Config::Loaded { changed: &names }));
                diagnostics::info(format_args!("config reloaded, changed: {}", shortened(&names)));
                Reload::Loaded { at, changed }
            }
            Err(error) => {
                let mut diagnostics = String::from("[]");
                if let Error::Config(problems) = &error {
                    diagnostics = serde_json::to_string(&problems.entries()).unwrap_or(diagnostics);
                }
                let error = format!("{:#}", anyhow::Error::new(error));
                self.write(&log::Record::Config(record::Config::Rejected { error: &error }));
                let between = if error.contains('\n') { '\n' } else { ' ' };
                diagnostics::error(format_args!("config not reloaded, the old one stays in force:{between}{error}"));
                Reload::Rejected { at, error, diagnostics: diagnostics.into() }
            }
        };
        self.admin.reloaded(reload.clone());
        reload
    }

    /// Builds everything new before anything old is stopped; says what changed, by name.
    async fn apply(&mut self, config: Config, table: Table, doors: &mut Doors) -> Result<Vec<String>, Error> {
        let changed = config::difference(&self.config, &config);
        let listener = match config.listen.address == self.config.listen.address {
            true => None,
            false => Some(Bound::ingest(&config.listen).await?),
        };
        let admin_address = |config: &Config| config.admin.as_ref().map(|admin| admin.address.clone());
        let window = match admin_address(&config) == admin_address(&self.config) {
            true => None,
            false => Bound::admin(config.admin.as_ref()).await?,
        };
        // Opened anew by another name, it would be in use by another sidecar: this one.
        let directory = match self.directory.is_also(&config.state.directory) {
            true => None,
            false => Some(Directory::open(&config.state.directory)?),
        };
        if config.log != self.config.log {
            self.log.switch(config.log.clone()).map_err(|error| Error::Log(config.log.destination.clone(), error))?;
        }
        if listener.is_none() && config.listen.mode != self.config.listen.mode {
            set_mode(&config.listen);
        }
        warn(&config, Some(&self.config));
        if let Some(directory) = directory {
            self.directory = directory;
        }
        self.dead_letters.switch(self.directory.dead_letters(), config.state.max_bytes);
        self.register.switch(self.directory.disabled());
        let plan = self.lanes.plan(&config, table).await;
        self.admin.swap(lanes::view(&config, &plan));
        self.ingest.swap(plan);
        self.lanes.settle(&config);
        let names: HashSet<&str> = config.endpoints.iter().map(|endpoint| &*endpoint.name).collect();
        self.log.retain(|name| names.contains(name));
        if config.admin.is_none() {
            doors.shut_admin();
        }
        self.open(doors, listener, window);
        self.config = config;
        Ok(changed)
    }

    /// Lets people in where there is a new listener.
    pub(super) fn open(&self, doors: &mut Doors, ingest: Option<Bound>, admin: Option<Bound>) {
        if let Some(Bound { listener, address }) = ingest {
            doors.open(Room::Ingest(Arc::clone(&self.ingest)), listener);
            diagnostics::info(format_args!("listening on {address}"));
        }
        if let Some(Bound { listener, address }) = admin {
            doors.open(Room::Admin(Arc::clone(&self.admin)), listener);
            diagnostics::info(format_args!("admin listener on {address}"));
        }
    }
}

/// As many names as somebody reads.
fn shortened(names: &[&str]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len() {
        0 => "nothing".to_owned(),
        count if count > SHOWN => format!("{shown} and {} more", count - SHOWN),
        _ => shown,
    }
}

/// Gives the socket that is open another mode.
fn set_mode(listen: &config::Listen) {
    let Address::Unix(path) = &listen.address else { return };
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(listen.mode)) {
        diagnostics::error(format_args!("the mode of {} cannot be changed: {error}", listen.address));
    }
}

/// Of the names of what changed.
const SHOWN: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_names_is_cut() {
        let names: Vec<String> = (0..1000).map(|n| format!("e{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(shortened(&[]), "nothing");
        assert_eq!(shortened(&names[..2]), "e0, e1");
        assert!(shortened(&names[..20]).ends_with("e18, e19"));
        assert!(shortened(&names).ends_with("e18, e19 and 980 more"));
    }
}
