//! A program that depends on the facade alone.

use prefix_indexer::{
    IndexReader, IndexSpec, IndexerOptions, Inputs, NativeEngine, OpenOptions, PrefixIndexer, Query, StoreKind,
    TraceOptions, ingest_pieces, open,
};

#[test]
fn one_crate_is_enough() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace.jsonl");
    std::fs::write(&trace, "{\"timestamp\": 7, \"hash_ids\": [4, 5]}\n{\"timestamp\": 9, \"hash_ids\": [4]}\n")
        .unwrap();
    let data = dir.path().join("index");
    for kind in StoreKind::ALL {
        let options = OpenOptions { spec: Some(IndexSpec::default()), ..OpenOptions::default() };
        let mut store = open(kind, &data.join(kind.name()), options).unwrap();
        let pieces = Inputs::from_args([&trace]).unwrap().open(TraceOptions::default(), |_| Vec::new());
        let report = ingest_pieces(store.as_mut(), pieces, NativeEngine::on_all_cores(1000), |_| Ok(())).unwrap();
        assert_eq!(report.events, 3, "{kind}");
        let indexer = PrefixIndexer::start(store, IndexerOptions::default());
        let best = indexer.recommend(&Query { top_k: 1, ..Query::default() }).unwrap();
        assert_eq!((best[0].prefix_id.as_str(), best[0].hit_count), ("4", 2), "{kind}");
        indexer.close().unwrap();
        assert_eq!(kind.name().parse::<StoreKind>().unwrap(), kind);
    }
    let reader = IndexReader::open(&data.join(StoreKind::Segments.name()), true).unwrap();
    assert_eq!(Query::default().run(&reader.view()).unwrap().len(), 2);
    let unknown = "sqlite".parse::<StoreKind>().unwrap_err().to_string();
    assert!(unknown.contains("segments") && unknown.contains("jsonl") && unknown.contains("memory"), "{unknown}");
}
