//! The port's own suite on SQLite.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use tidegate_engine::ports::{Journal, JournalError};
use tidegate_engine::testkit::journal_suite::{Storage, conformance};
use tidegate_journal::Sqlite;

struct Directory {
    dir: TempDir,
    open: Mutex<Vec<Arc<Sqlite>>>,
}

#[async_trait]
impl Storage for Directory {
    async fn open(&self) -> Result<Arc<dyn Journal>, JournalError> {
        let journal = Arc::new(Sqlite::open(self.dir.path()).await?);
        self.open.lock().unwrap().push(Arc::clone(&journal));
        Ok(journal)
    }

    async fn end(&self, _journal: Arc<dyn Journal>) {
        let last = self.open.lock().unwrap().pop();
        last.unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_is_a_journal() {
    conformance(|| Directory { dir: tempfile::tempdir().unwrap(), open: Mutex::default() }).await;
}
