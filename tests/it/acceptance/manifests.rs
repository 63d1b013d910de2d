//! What `kubectl apply -k` would send: read alike by old and new kustomize, valid for Kubernetes, and with settings that
//! the gateway takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::common::database;
use crate::common::envgate::Setup;
use envgate_test_servers::redis::Redis;

const MISSING: &str = "what reads manifests is missing: `scripts/setup acceptance` installs it";
/// What a stop takes beside `server.drain_delay` and `upstream.timeout`: `listen.body_timeout`, a margin, the audit.
const REST_OF_A_STOP_SECONDS: u64 = 10 + 25;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn old_kubectl() -> PathBuf {
    root(".tools/kubernetes-client/usr/bin/kubectl")
}

fn new_kubectl() -> PathBuf {
    root(".venv/kubernetes/bin/kubectl")
}

/// All that an overlay makes, as YAML.
fn build(kubectl: &Path, overlay: &str) -> String {
    let mut kustomize = Command::new(kubectl);
    kustomize
        .arg("kustomize")
        .arg(root("deploy/kubernetes").join(overlay));
    let built = kustomize.output().expect(MISSING);
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    String::from_utf8(built.stdout).unwrap()
}

/// The same by kind and name, where a hash of the content is no part of a name.
fn objects(yaml: &str) -> BTreeMap<String, Value> {
    let directory = envgate_test_servers::temporary_directory();
    let file = directory.path().join("objects.yaml");
    std::fs::write(&file, yaml).unwrap();
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    let mut python = Command::new(root(".venv/kubernetes/bin/python"));
    let json = python
        .args(["-c", script])
        .arg(file)
        .output()
        .expect(MISSING)
        .stdout;
    let list: Vec<Value> = serde_json::from_slice(&json).unwrap();
    let of_content = ["ConfigMap", "Secret"];
    let hashed = list
        .iter()
        .filter(|object| of_content.contains(&object["kind"].as_str().unwrap()));
    let hashes: Vec<_> = hashed
        .map(|object| {
            object["metadata"]["name"]
                .as_str()
                .unwrap()
                .rsplit_once('-')
                .unwrap()
                .1
                .to_owned()
        })
        .collect();
    let mut text = serde_json::to_string(&list).unwrap();
    for hash in hashes {
        text = text.replace(&format!("-{hash}"), "");
    }
    let list: Vec<Value> = serde_json::from_str(&text).unwrap();
    let key = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]).replace('"', "");
    let list = list.into_iter().map(without_folds);
    list.map(|object| (key(&object), object)).collect()
}

/// Base64 in one line, as new kustomize does not write it.
fn without_folds(mut object: Value) -> Value {
    if let (Some("Secret"), Some(secrets)) = (object["kind"].as_str(), object["data"].clone().as_object()) {
        for (name, value) in secrets {
            object["data"][name] = value
                .as_str()
                .unwrap()
                .split_whitespace()
                .collect::<String>()
                .into();
        }
    }
    object
}

/// Without the order of lists that Kubernetes reads by name.
fn in_order(mut object: Value) -> Value {
    if let Some(Value::Array(volumes)) = object.pointer_mut("/spec/template/spec/volumes") {
        volumes.sort_by_key(|volume| volume["name"].to_string());
    }
    object
}

/// The value of a setting in a file, as it stands there.
fn setting<'a>(toml: &'a str, name: &str) -> Option<&'a str> {
    let prefix = format!("{name} = ");
    let value = toml.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(value.split('#').next().unwrap().trim().trim_matches('"'))
}

fn seconds(toml: &str, name: &str) -> u64 {
    let value = setting(toml, name).unwrap();
    value.strip_suffix('s').unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs two kubectl: make acceptance"]
fn old_and_new_kustomize_make_the_same_of_both_overlays_and_kubernetes_takes_it() {
    for overlay in ["single", "replicas"] {
        let new = build(&new_kubectl(), overlay);
        let (of_new, of_old) = (objects(&new), objects(&build(&old_kubectl(), overlay)));
        assert_eq!(
            of_new.keys().collect::<Vec<_>>(),
            of_old.keys().collect::<Vec<_>>(),
            "{overlay}"
        );
        for (name, object) in &of_new {
            assert_eq!(
                in_order(object.clone()),
                in_order(of_old[name].clone()),
                "{overlay}: {name}"
            );
        }

        let directory = envgate_test_servers::temporary_directory();
        let file = directory.path().join("all.yaml");
        std::fs::write(&file, &new).unwrap();
        // The oldest that has a disruption budget which is not beta, and today's.
        for version in ["1.25", "1.37"] {
            let mut validate = Command::new(root(".venv/kubernetes/bin/kubernetes-validate"));
            validate.args(["--strict", "--kubernetes-version", version]);
            let judged = validate.arg(&file).output().expect(MISSING);
            let said = String::from_utf8_lossy(&judged.stdout).into_owned()
                + &String::from_utf8_lossy(&judged.stderr);
            assert!(judged.status.success(), "{overlay}, {version}: {said}");
        }
    }
}

#[test]
#[ignore = "needs kubectl: make acceptance"]
fn a_pod_has_no_rights_is_probed_and_has_the_time_that_a_stop_takes() {
    for overlay in ["single", "replicas"] {
        let objects = objects(&build(&new_kubectl(), overlay));
        let settings = objects["ConfigMap envgate"]["data"]["envgate.toml"]
            .as_str()
            .unwrap();
        let deployment = &objects["Deployment envgate"]["spec"];
        let pod = &deployment["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{overlay}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{overlay}");
        assert_eq!(pod["enableServiceLinks"], false, "{overlay}");
        let needed = seconds(settings, "drain_delay") + seconds(settings, "timeout") + REST_OF_A_STOP_SECONDS;
        let given = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(given >= needed, "{overlay}: a stop may take {needed} s");

        let [container] = pod["containers"].as_array().unwrap().as_slice() else {
            panic!("{overlay}: one container");
        };
        let rights = &container["securityContext"];
        assert_eq!(rights["readOnlyRootFilesystem"], true, "{overlay}");
        assert_eq!(rights["allowPrivilegeEscalation"], false, "{overlay}");
        assert_eq!(
            rights["capabilities"]["drop"],
            serde_json::json!(["ALL"]),
            "{overlay}"
        );
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{overlay}: {probe}");
            assert_eq!(container[probe]["httpGet"]["port"], "admin", "{overlay}: {probe}");
        }
        for resource in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(
                container["resources"].pointer(resource).is_some(),
                "{overlay}: {resource}"
            );
        }
        let volume = |name: &str| {
            let mut volumes = pod["volumes"].as_array().unwrap().iter();
            volumes.find(|volume| volume["name"] == name).unwrap()
        };
        assert_eq!(volume("config")["configMap"]["name"], "envgate");
        assert_eq!(volume("secrets")["secret"]["secretName"], "envgate");
        let claim = &volume("state")["persistentVolumeClaim"];
        assert_eq!(
            claim.is_object(),
            overlay == "single",
            "{overlay}: the store is a file or not"
        );
    }
}

#[test]
#[ignore = "needs kubectl: make acceptance"]
fn replicas_are_replaced_without_a_pause_and_with_as_many_of_them_as_the_budget_knows_of() {
    let objects = objects(&build(&new_kubectl(), "replicas"));
    let settings = objects["ConfigMap envgate"]["data"]["envgate.toml"]
        .as_str()
        .unwrap();
    let deployment = &objects["Deployment envgate"]["spec"];
    let replicas = deployment["replicas"].as_u64().unwrap();
    let rolling = &deployment["strategy"]["rollingUpdate"];
    assert_eq!(rolling["maxUnavailable"], 0);
    let surge = rolling["maxSurge"].as_u64().unwrap();
    // One that was told to stop serves on for as long as the delay, and the next is told only after that.
    let ready_after = deployment["minReadySeconds"].as_u64().unwrap();
    assert!(ready_after > seconds(settings, "drain_delay"));
    let known: u64 = setting(settings, "replicas").unwrap().parse().unwrap();
    assert_eq!(known, replicas + surge);
    let disruption = &objects["PodDisruptionBudget envgate"]["spec"];
    assert!(disruption["minAvailable"].as_u64().unwrap() < replicas);
    assert_eq!(disruption["selector"], deployment["selector"]);
}

#[test]
#[ignore = "needs kubectl: make acceptance"]
fn settings_of_the_manifests_are_good_once_their_placeholders_are_replaced_and_only_then() {
    let postgres = database::migrated();
    let redis = Redis::start();
    for overlay in ["single", "replicas"] {
        let objects = objects(&build(&new_kubectl(), overlay));
        let settings = objects["ConfigMap envgate"]["data"]["envgate.toml"]
            .as_str()
            .unwrap();
        let secrets = objects["Secret envgate"]["data"].as_object().unwrap();
        let setup = Setup::new();
        let directory = setup.path().display().to_string();
        let settings = settings
            .replace("/run/secrets/envgate", &directory)
            .replace("/var/lib/envgate", &directory);
        // Stores of the settings' own: what every other test is given in variables goes before the file.
        let setup = setup.unset("ENVGATE_STORE__URL").file(&settings);
        for name in secrets.keys() {
            std::fs::write(setup.path().join(name), "REPLACE ME with a secret").unwrap();
        }
        let judged = setup.run(&["check"]);
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        assert!(!judged.status.success(), "{overlay}: {said}");
        assert!(said.contains("upstream.credential"), "{overlay}: {said}");

        for name in secrets.keys() {
            let value = match name.as_str() {
                "store-url" => postgres.url(),
                "redis-url" => redis.url(),
                _ => "0123456789abcdef0123456789abcdef".to_owned(),
            };
            std::fs::write(setup.path().join(name), value).unwrap();
        }
        setup.run_well(&["check"]);
    }
}
