use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use http::HeaderValue;
use ring::digest::{Context, SHA256};

use crate::config::{Secret, Settings};

/// How many bytes of a digest tell identities apart.
const BYTES: usize = 16;
/// In the place of an address: the embedded environments service has another one in each process, and one
/// store all the same.
const EMBEDDED: &str = "embedded";

/// What all that is remembered of an upstream belongs to: its address, the digest of the credential, the
/// workspace, the proxy before it and the key of the stamp. Where one of these changes nothing is known, and
/// where none does all is, whatever else the settings say and however they call it. The same on all replicas;
/// nobody can tell the credential from it.
pub(super) fn identity(
    settings: &Settings,
    credential: &Secret,
    workspace_id: Option<&HeaderValue>,
) -> Arc<str> {
    let mut context = Context::new(&SHA256);
    let mut add = |part: &[u8]| {
        // With its length before it, so that no two lists of parts look the same.
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    };
    match &settings.upstream.service {
        Some(service) => {
            add(service.url.to_string().as_bytes());
            add(ring::digest::digest(&SHA256, credential.reveal().as_bytes()).as_ref());
        }
        None => add(EMBEDDED.as_bytes()),
    }
    add(workspace_id.map(HeaderValue::as_bytes).unwrap_or_default());
    let proxy = settings.upstream.route.proxying.proxy();
    add(proxy
        .map_or(String::new(), |proxy| format!("{}:{}", proxy.host, proxy.port))
        .as_bytes());
    add(settings.ownership.stamp_key.as_str().as_bytes());
    let digest = context.finish();
    let digest = digest.as_ref().get(..BYTES).unwrap_or_default();
    BASE64URL_NOPAD.encode(digest).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    fn of(text: &str, credential: &str, workspace: &str) -> Arc<str> {
        let text = format!("upstream.credential = {{ env = \"KEY\" }}\n{text}");
        let environment = [("KEY".to_owned(), credential.to_owned())];
        let settings = load(&Source::new("envgate.toml", text, environment)).unwrap();
        let workspace = (!workspace.is_empty()).then(|| workspace.parse().unwrap());
        identity(&settings, &Secret::new(credential.to_owned()), workspace.as_ref())
    }

    #[test]
    fn each_of_what_makes_it_makes_another_and_nothing_else_does() {
        const URL: &str = "upstream.url = \"https://api.anthropic.com\"\n";
        let with = |more: &str| format!("{URL}{more}");
        let first = of(URL, "sk-a", "wrkspc_1");
        for (what, other) in [
            (
                "the address",
                of("upstream.url = \"https://example.com\"\n", "sk-a", "wrkspc_1"),
            ),
            ("the credential", of(URL, "sk-b", "wrkspc_1")),
            ("the workspace", of(URL, "sk-a", "wrkspc_2")),
            ("no workspace", of(URL, "sk-a", "")),
            (
                "the proxy",
                of(
                    &with("upstream.proxy = \"http://10.0.0.1:3128\"\n"),
                    "sk-a",
                    "wrkspc_1",
                ),
            ),
            (
                "the stamp",
                of(&with("ownership.stamp_key = \"other\"\n"), "sk-a", "wrkspc_1"),
            ),
        ] {
            assert_ne!(first, other, "{what}");
        }
        let same = of(
            &with("upstream.timeout = \"1s\"\ncache.ttl = \"1s\"\n"),
            "sk-a",
            "wrkspc_1",
        );
        assert_eq!(first, same);
        assert!(!first.contains("sk-a"));
    }
}
