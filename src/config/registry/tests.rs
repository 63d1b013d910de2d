use super::*;

/// The settings as docs/configuration.md shows them.
fn table() -> String {
    let mut table = "| setting | takes | default | |\n|---|---|---|---|\n".to_owned();
    for setting in SETTINGS.iter() {
        let default = setting
            .default
            .map_or(String::new(), |default| format!("`{default}`"));
        table.push_str(&format!(
            "| `{}` | {} | {default} | {} |\n",
            setting.path, setting.form, setting.doc
        ));
    }
    table
}

#[test]
fn the_page_on_settings_shows_every_setting_as_the_registry_has_it() {
    let page = include_str!("../../../docs/configuration.md");
    let table = table();
    assert!(
        page.contains(&format!("\n\n{table}")),
        "put this table into docs/configuration.md:\n\n{table}"
    );
}

#[test]
fn the_page_on_settings_says_which_of_them_need_a_restart() {
    let lasting = SETTINGS.iter().filter(|setting| setting.needs_restart());
    let names: Vec<_> = lasting.map(|setting| format!("`{}`", setting.path)).collect();
    assert_eq!(
        names.len(),
        AT_START_ALONE.len(),
        "one that is listed is none of the registry's"
    );
    let list = names.join("\n");
    let page = include_str!("../../../docs/configuration.md");
    assert!(
        page.contains(&format!("\n\n{list}\n\n")),
        "put this list into docs/configuration.md:\n\n{list}"
    );
}

#[test]
fn every_setting_stands_next_to_the_others_of_its_table() {
    let mut names = SETTINGS.member_names("");
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a table is named in two places");
}

#[test]
fn a_path_of_the_file_is_an_instance_of_a_setting() {
    for (path, expected) in [
        ("upstream.url", Some("upstream.url")),
        ("plans.gold.operations", Some("plans.NAME.operations")),
        (
            "plans.gold.policy.packages.pip.deny",
            Some("plans.NAME.policy.packages.MANAGER.deny"),
        ),
        ("plans.operations", None),
        ("upstream", None),
    ] {
        assert_eq!(
            SETTINGS.find(path).map(|setting| setting.path),
            expected,
            "{path}"
        );
    }
}
