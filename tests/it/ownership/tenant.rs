//! Tenants of one gateway, and what they send.

use serde_json::{Value, json};

use crate::common::client::{Request, Response};
use crate::common::envgate::{Envgate, eventually};

pub(crate) const COLLECTION: &str = "/v1/environments";

/// A tenant at a gateway, by its key.
pub(crate) struct Tenant<'a> {
    pub(crate) envgate: &'a Envgate,
    pub(crate) key: String,
}

impl<'a> Tenant<'a> {
    pub(crate) fn demo(envgate: &'a Envgate) -> Self {
        Self {
            envgate,
            key: envgate.key.clone(),
        }
    }

    /// A second tenant, once the gateway knows its key.
    pub(crate) fn new(envgate: &'a Envgate, name: &str) -> Self {
        let command = |arguments: &[&str]| {
            let output = envgate.run(arguments);
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        command(&["tenants", "create", name]);
        let key = command(&["keys", "create", "--tenant", name, "--quiet"]);
        let tenant = Self { envgate, key };
        eventually("the gateway knows the new key", || {
            tenant.get("/v1/environments?limit=0").status == 400
        });
        tenant
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Response {
        let request = Request::new(self.envgate.gateway, method, path).header("x-api-key", &self.key);
        match body {
            Some(body) => request.body(body).send(),
            None => request.send(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Response {
        self.send("POST", path, Some(body))
    }

    pub(crate) fn create(&self, name: &str) -> String {
        let created = self.post(COLLECTION, &json!({ "name": name }).to_string());
        assert_eq!(created.status, 200, "{}", created.text());
        created.json()["id"].as_str().unwrap().to_owned()
    }

    /// All pages of a list, each as the ids in it.
    pub(crate) fn pages(&self, query: &str) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = cursor.map_or(String::new(), |cursor| format!("&page={cursor}"));
            let reply = self.get(&format!("{COLLECTION}?{query}{page}"));
            assert_eq!(reply.status, 200, "{}", reply.text());
            assert!(!reply.text().contains("envgate:tenant"), "{}", reply.text());
            pages.push(ids(&reply.json()));
            cursor = reply.json()["next_page"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return pages;
            }
        }
    }
}

pub(crate) fn ids(list: &Value) -> Vec<String> {
    let data = list["data"].as_array().unwrap();
    data.iter()
        .map(|environment| environment["id"].as_str().unwrap().to_owned())
        .collect()
}

/// The body of a refusal without the name of its request.
pub(crate) fn without_request_id(response: &Response) -> (u16, Value) {
    let mut body = response.json();
    body.as_object_mut().unwrap().remove("request_id").unwrap();
    (response.status, body)
}

/// The operations with an id, as requests.
pub(crate) fn with_id(id: &str) -> [(&'static str, String, Option<&'static str>); 4] {
    let path = format!("{COLLECTION}/{id}");
    [
        ("GET", path.clone(), None),
        ("POST", path.clone(), Some(r#"{"name":"mine now"}"#)),
        ("POST", format!("{path}/archive"), None),
        ("DELETE", path, None),
    ]
}
