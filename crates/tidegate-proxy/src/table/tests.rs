//! The store between the moments that the control socket can see.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Store;
use crate::access::AccessLog;
use crate::cohort::Key;
use crate::listen::{Plane, Tools};
use crate::refusal::Refused;
use crate::serve::Timeouts;
use crate::tls::Keys;
use crate::wire::{Backend, OverrideKind, Share, Table, TableParts, Weight};
use crate::workers::Workers;

fn plane() -> Arc<Plane> {
    let state = tempfile::tempdir().unwrap();
    let tools = Tools {
        key: Key::new([1; Key::BYTES]),
        access: AccessLog::start(state.path()).unwrap(),
        keys: Keys::new(state.path()),
    };
    Arc::new(Plane::new(Timeouts::default(), Workers::start(1).unwrap(), tools))
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn table(listen: SocketAddr, generation: u64) -> Table {
    let backends = vec![Backend::plain("r1", Weight::FULL, listen)];
    let fallback = Some(vec![Share { revision: "r1".into(), weight: Weight::FULL }]);
    let plain = TableParts::plain("shop/web", listen, backends);
    let parts = TableParts { generation, fallback, ..plain };
    Table::seal(parts).unwrap()
}

#[tokio::test]
async fn an_override_during_the_write_of_a_table_stands_and_the_disk_is_put_right() {
    let mut store = Store::new(Vec::new(), plane(), Vec::new(), Vec::new());
    let listen = free_address();
    let first = store.prepare(table(listen, 1)).unwrap().unwrap();
    store.enter(first).unwrap();
    assert!(store.not_durable().is_empty());

    let second = store.prepare(table(listen, 2)).unwrap().unwrap();
    let reason = "errors".to_owned();
    store.override_split("shop/web", OverrideKind::Emergency, "ada", reason).unwrap();
    let truth = store.not_durable();
    assert!(matches!(store.enter(second.clone()), Err(Refused::Override(_))));
    assert_eq!(store.not_durable(), truth);
    assert_eq!((truth[0].generation, truth[0].sequence), (1, 1));

    // A write that finishes late says nothing about what came after it.
    store.is_on_disk(&second);
    assert_eq!(store.not_durable(), truth);
    store.is_on_disk(&truth[0]);
    assert!(store.not_durable().is_empty());
}

#[tokio::test]
async fn an_ending_store_opens_no_address() {
    let mut store = Store::new(Vec::new(), plane(), Vec::new(), Vec::new());
    let listen = free_address();
    let first = store.prepare(table(listen, 1)).unwrap().unwrap();
    store.enter(first).unwrap();
    assert!(store.status().services[0].listening);
    store.close_all();
    store.bind_missing();
    assert!(!store.status().services[0].listening);
}
