//! Changes of hubs, and what is said of those that are refused.

use mosaic_tests::home::{Home, field};

fn create(home: &Home, name: &str, private: bool) -> String {
    let args = ["hub", "create", name, "--channel", "quay"];
    let private = private.then_some("--private");
    field(&home.json(&args.into_iter().chain(private).collect::<Vec<_>>())[0], "id")
}

#[test]
fn what_is_changed_together_is_changed_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let ada = Home::init(root.path(), "ada");
    let long = "t".repeat(1025);
    for private in [false, true] {
        let hub = create(&ada, "Nets", private);
        let quay = format!("{hub}/quay");
        let before = ada.json(&["hub", "mod", "log", &hub]).len();
        let refused = ada.run(&[
            "hub", "channel", "change", &quay, "--name", "pier", "--topic", &long, "--slow", "5s",
        ]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        let channels = ada.json(&["hub", "channel", "list", &hub]);
        assert_eq!(channels[0]["name"], "quay", "private: {private}");
        assert_eq!(ada.json(&["hub", "mod", "log", &hub]).len(), before);
        // and what is whole is one change after the other
        ada.ok(&["hub", "channel", "change", &quay, "--name", "pier", "--topic", "boats"]);
        let channels = ada.json(&["hub", "channel", "list", &hub]);
        assert_eq!(
            (&channels[0]["name"], &channels[0]["topic"]),
            (&"pier".into(), &"boats".into())
        );
        assert_eq!(ada.json(&["hub", "mod", "log", &hub]).len(), before + 2);
    }
}
