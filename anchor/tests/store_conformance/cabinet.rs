//! A store whose files and rows can be looked into.

use std::{fs, path::Path, sync::Arc};

use madang_anchor::store::{self, Options, PersonalFiles, Store};
use madang_protocol::ids::AccountId;
use postgres::{Client, NoTls};
use tempfile::TempDir;

use crate::support::{NETWORK, Place, database::Server, issuer, options};

/// A store whose files and rows can be looked into, closed and opened again.
pub(crate) struct Cabinet {
    pub(crate) dir: TempDir,
    database: Option<(Arc<Server>, String)>,
}

impl Cabinet {
    pub(crate) fn new(place: &Place) -> Self {
        let database = match place {
            Place::Folder => None,
            Place::Database(server) => Some((server.clone(), server.new_database())),
        };
        let dir = TempDir::new().unwrap();
        Self { dir, database }
    }

    pub(crate) fn open(&self) -> Store {
        let options = match &self.database {
            None => options(&self.dir.path().join("store")),
            Some((_, words)) => {
                let place = store::Place::Postgres(words.parse().unwrap());
                Options::at(place, NETWORK, issuer())
            }
        };
        let personal = Some(PersonalFiles {
            key: self.dir.path().join("personal.key"),
            wrapped: self.dir.path().join("personal"),
        });
        Store::open(Options {
            personal,
            ..options
        })
        .unwrap()
        .0
    }

    pub(crate) fn client(&self) -> Option<Client> {
        let (_, words) = self.database.as_ref()?;
        Some(Client::connect(words, NoTls).unwrap())
    }

    /// Everything that is kept anywhere, one behind the other.
    pub(crate) fn everything(&self) -> String {
        let mut octets = Vec::new();
        read_all(self.dir.path(), &mut octets);
        if let Some(mut client) = self.client() {
            for table in ["rows", "events", "personal_keys", "instances", "network"] {
                let sql = format!("SELECT t::text FROM madang_{table} t");
                for row in client.query(&sql, &[]).unwrap() {
                    let text: String = row.get(0);
                    octets.extend_from_slice(text.as_bytes());
                }
            }
            for sql in [
                "SELECT row FROM madang_rows",
                "SELECT key FROM madang_rows",
                "SELECT payload FROM madang_events",
            ] {
                for row in client.query(sql, &[]).unwrap() {
                    let part: Vec<u8> = row.get(0);
                    octets.extend_from_slice(&part);
                }
            }
        }
        String::from_utf8_lossy(&octets).into_owned()
    }

    pub(crate) fn wrapped(&self, id: &AccountId) -> std::path::PathBuf {
        let name = id.to_string();
        self.dir
            .path()
            .join("personal")
            .join(&name[30..])
            .join(name)
    }

    pub(crate) fn has_data_key(&self, id: &AccountId) -> bool {
        match self.client() {
            None => self.wrapped(id).exists(),
            Some(mut client) => {
                let sql = "SELECT 1 FROM madang_personal_keys WHERE name = $1";
                !client.query(sql, &[&id.as_bytes()]).unwrap().is_empty()
            }
        }
    }
}

fn read_all(dir: &Path, octets: &mut Vec<u8>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, octets);
        } else {
            octets.extend_from_slice(&fs::read(&path).unwrap());
        }
    }
}
