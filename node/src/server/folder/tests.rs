//! The folder as its visitors see it.
#![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

mod coding;
mod content;
mod held;
mod names;
mod wire;

use std::path::PathBuf;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::{Folder, FolderOptions, Ways};

/// A folder on disk and its server.
struct Yard {
    directory: tempfile::TempDir,
    folder: Folder,
}

/// An answer, read to its end.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Yard {
    fn new() -> Self {
        Self::with(FolderOptions::default())
    }

    fn with(options: FolderOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::open(directory.path(), options).unwrap();
        Self { directory, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<crate::web::Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.folder
            .respond(&request.body(()).unwrap().into_parts().0, &Ways::ALL)
            .await
    }

    async fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (head, body) = self.ask(method, path, headers).await.into_parts();
        let promised = body.size_hint().exact().unwrap();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(body.len() as u64, promised, "{method} {path}");
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request("GET", path, headers).await
    }
}

/// Octets that repeat nowhere near, so that a wrong offset shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(length)
    .collect()
}
