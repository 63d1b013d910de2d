//! The image: built, run as it says, without rights and on files that it cannot change, asked, judged and stopped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::installed::{binary, curl};
use crate::common::envgate::eventually;

/// Who the process in the image is.
const USER: u32 = 65532;
const MISSING: &str =
    "what builds and runs images is missing: `scripts/setup acceptance` installs buildah and crun";

/// A place for images, and the tool that makes them.
struct Images {
    directory: TempDir,
}

impl Images {
    fn new() -> Self {
        // Not in memory: a base and each layer on it are whole copies.
        let directory = TempDir::with_prefix("envgate-images-").unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        let mut buildah = Command::new("buildah");
        buildah
            .arg("--root")
            .arg(self.path("root"))
            .arg("--runroot")
            .arg(self.path("runroot"));
        buildah.args(["--storage-driver", "vfs"]).args(arguments);
        let output = buildah.output().expect(MISSING);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {arguments:?}: {complaint}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// The image, on a base that stands in for the public one.
    fn build(&self) {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let base = home.join(".tools/roots/container").display().to_string();
        let container = self.buildah(&["from", "scratch"]);
        self.buildah(&["add", "--quiet", &container, &base, "/"]);
        self.buildah(&["commit", "--quiet", "--rm", &container, "localhost/base"]);

        // What a build is given, with the binary of these tests where the release's would be.
        let context = self.path("context");
        let copies = [
            "LICENSE",
            "deploy/container/state/README",
            "deploy/container/Containerfile",
            ".containerignore",
        ];
        let files = copies.map(|file| (home.join(file), context.join(file)));
        for (from, to) in files
            .into_iter()
            .chain([(binary().clone(), context.join("target/release/envgate"))])
        {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
        let context = context.display().to_string();
        let file = format!("{context}/deploy/container/Containerfile");
        let build = [
            "build",
            "--quiet",
            "--isolation",
            "chroot",
            "--format",
            "docker",
            "--file",
            &file,
            "--tag",
            "envgate",
        ];
        let arguments = [
            "--build-arg",
            "BINARY=built",
            "--build-arg",
            "BASE=localhost/base",
            &context,
        ];
        self.buildah(&[&build[..], &arguments].concat());
    }

    /// What the image says of itself.
    fn settings(&self) -> Value {
        let told = self.buildah(&["inspect", "--type", "image", "envgate"]);
        let told: Value = serde_json::from_str(&told).unwrap();
        told["Docker"]["config"].clone()
    }

    /// The files of a container of the image.
    fn mount(&self) -> PathBuf {
        let container = self.buildah(&["from", "envgate"]);
        self.buildah(&["mount", &container]).into()
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        // Its driver for what is mounted: nothing is left to unmount, whatever has failed.
        let mut unmount = Command::new("sh");
        let script = "grep -o \"$0/[^ ]*\" /proc/self/mounts | sort -r | xargs -r umount";
        let _ = unmount.args(["-c", script]).arg(self.directory.path()).status();
    }
}

/// A container that runs, as an engine would run it from what the image says.
struct Container<'images> {
    images: &'images Images,
    id: String,
    child: Child,
    key: String,
    pid: String,
}

impl<'images> Container<'images> {
    fn run(images: &'images Images, settings: &Value) -> Self {
        let files = images.mount();
        let id = format!("envgate-{}", std::process::id());
        let bundle = images.path("bundle");
        fs::create_dir(&bundle).unwrap();
        // What an engine does with a new volume: it is the user's whose the directory in the image is.
        let volume = images.path("volume");
        fs::create_dir(&volume).unwrap();
        let owner = fs::metadata(files.join("var/lib/envgate")).unwrap();
        chown(&volume, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::write(
            bundle.join("config.json"),
            specification(settings, &files, &volume).to_string(),
        )
        .unwrap();

        let mut run = crun(images);
        run.arg("run").arg("--bundle").arg(&bundle).arg(&id);
        let log = fs::File::create(images.path("log")).unwrap();
        let mut child = run
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect(MISSING);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let key = loop {
            let Some(line) = lines.next() else {
                panic!("it ended: {}", fs::read_to_string(images.path("log")).unwrap());
            };
            if let Some(key) = line.unwrap().strip_prefix("  sk-eg-") {
                break format!("sk-eg-{key}");
            }
        };
        std::thread::spawn(move || lines.for_each(drop));
        let state = crun(images).args(["state", &id]).output().unwrap().stdout;
        let state: Value = serde_json::from_slice(&state).unwrap();
        Self {
            images,
            id,
            child,
            key,
            pid: state["pid"].to_string(),
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.images.path("log")).unwrap()
    }

    /// What another process in the container says.
    fn execute(&self, arguments: &[&str]) -> Output {
        crun(self.images)
            .arg("exec")
            .arg(&self.id)
            .args(arguments)
            .output()
            .unwrap()
    }

    /// The status of the README's request, in the container's network.
    fn ask(&self) -> String {
        let mut enter = Command::new("nsenter");
        enter
            .args(["--target", &self.pid, "--net", "--"])
            .args(curl(&self.key));
        String::from_utf8(enter.output().unwrap().stdout)
            .unwrap()
            .trim_end()
            .to_owned()
    }

    fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().split_whitespace().next().unwrap().to_owned()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        let mut delete = crun(self.images);
        let _ = delete
            .args(["delete", "--force", &self.id])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// It wants no control groups, and stops where those of both versions are mounted, so it sees none of the newer.
fn crun(images: &Images) -> Command {
    let script = "umount -l /sys/fs/cgroup/unified 2>/dev/null; exec crun --cgroup-manager disabled \"$@\"";
    let mut crun = Command::new("unshare");
    crun.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        "crun",
        "--root",
    ])
    .arg(images.path("crun"));
    crun
}

/// What an engine makes of an image: its words, its user, its variables, a root that is read-only, and no rights.
fn specification(settings: &Value, files: &Path, volume: &Path) -> Value {
    let words = |name: &str| settings[name].as_array().unwrap().clone();
    let arguments = [words("Entrypoint"), words("Cmd")].concat();
    let user = settings["User"]
        .as_str()
        .unwrap()
        .split(':')
        .map(|id| id.parse::<u32>().unwrap());
    let [uid, gid] = user.collect::<Vec<_>>()[..] else {
        panic!("a user and a group, as numbers: {settings}");
    };
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    let masked = ["nosuid", "noexec", "nodev"];
    let namespaces = ["pid", "mount", "ipc", "uts", "network"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "args": arguments, "cwd": settings["WorkingDir"], "env": settings["Env"],
            "user": {"uid": uid, "gid": gid}, "noNewPrivileges": true, "capabilities": {},
        },
        "root": {"path": files, "readonly": true},
        "hostname": "envgate",
        "mounts": [
            mount("/proc", "proc", "proc", &masked),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "mode=755"]),
            mount("/var/lib/envgate", "bind", volume.to_str().unwrap(), &["bind", "rw"]),
        ],
        "linux": {"namespaces": namespaces},
    })
}

#[test]
#[ignore = "needs root, buildah and crun: make acceptance"]
fn the_image_serves_without_rights_and_a_shell_is_healthy_and_stops_in_order() {
    let images = Images::new();
    images.build();
    let settings = images.settings();
    assert_eq!(settings["User"], format!("{USER}:{USER}"));
    assert_eq!(settings["StopSignal"], "SIGTERM");
    assert!(
        settings["Volumes"].get("/var/lib/envgate").is_some(),
        "{settings}"
    );
    assert!(settings["ExposedPorts"].get("8080/tcp").is_some(), "{settings}");
    assert_eq!(settings["Labels"]["org.opencontainers.image.title"], "envgate");
    let check = settings["Healthcheck"]["Test"].as_array().unwrap();
    assert_eq!(check[0], "CMD", "no shell");
    let check: Vec<_> = check[1..].iter().map(|word| word.as_str().unwrap()).collect();

    let mut container = Container::run(&images, &settings);
    assert_eq!(container.status("Uid"), USER.to_string());
    assert_eq!(container.status("CapEff"), "0".repeat(16));
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", container.pid)).unwrap();
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some("/"))
        .unwrap();
    assert!(root.split(' ').nth(3).unwrap().starts_with("ro"), "{root}");
    assert!(!container.execute(&["/bin/sh", "-c", "true"]).status.success());

    eventually("the README's request is answered", || container.ask() == "200");
    let healthy = container.execute(&check);
    assert!(
        healthy.status.success(),
        "{}",
        String::from_utf8_lossy(&healthy.stderr)
    );

    let signal = settings["StopSignal"].as_str().unwrap();
    assert!(
        crun(&images)
            .args(["kill", &container.id, signal])
            .status()
            .unwrap()
            .success()
    );
    let ended = container.child.wait().unwrap();
    let log = container.log();
    assert!(ended.success(), "{ended}: {log}");
    assert!(log.contains("stopped"), "{log}");
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}
