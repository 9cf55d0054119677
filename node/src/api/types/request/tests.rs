use super::*;

#[test]
fn unknown_fields_are_refused_and_absent_ones_left_out() {
    assert!(serde_json::from_str::<WallList>(r#"{"limt":1}"#).is_err());
    let request = WallList { limit: Some(3), ..WallList::default() };
    assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"limit":3}"#);
    assert_eq!(serde_json::from_str::<WallList>(r#"{"limit":3}"#).unwrap(), request);
}

#[test]
fn paths_are_versioned_and_unique() {
    let unique: std::collections::BTreeSet<_> = PATHS.iter().collect();
    assert_eq!(unique.len(), PATHS.len());
    for path in PATHS {
        let parts: Vec<_> = path.split('/').collect();
        assert!(matches!(parts.as_slice(), ["", "v1", _, _]), "{path}");
    }
}
