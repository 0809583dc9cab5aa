//! What a reload leaves as it is: sockets and threads are made once, and the cache is laid out once.

use crate::config::{Admin, Cache, Config, Listen, Log};

/// Puts back into `wanted` what stays as `running` has it until a restart; the keys whose values were put back. `has_udp`:
/// there is a socket for HTTP/3.
pub(super) fn keep(running: &Config, has_udp: bool, wanted: &mut Config) -> Vec<&'static str> {
    let mut kept = Kept(Vec::new());
    // Each key by its name, so that a new one cannot be forgotten here.
    let Config { identity: _, geo_database: _, listen, tls: _, cache, log, distributions, admin, reload: _ } =
        wanted;
    let Listen {
        http,
        https,
        admin: admin_address,
        public_https_port: _,
        workers,
        fast_path,
        drain_delay: _,
        grace,
        unproven_handshakes,
        handshakes,
        proxy_protocol,
    } = listen;
    let of = &running.listen;
    kept.keep("listen.http", &of.http, http);
    kept.keep("listen.https", &of.https, https);
    kept.keep("listen.admin", &of.admin, admin_address);
    kept.keep("listen.workers", &of.workers, workers);
    kept.keep("listen.fast_path", &of.fast_path, fast_path);
    kept.keep("listen.grace", &of.grace, grace);
    kept.keep("listen.unproven_handshakes", &of.unproven_handshakes, unproven_handshakes);
    kept.keep("listen.handshakes", &of.handshakes, handshakes);
    kept.keep("listen.proxy_protocol", &of.proxy_protocol, proxy_protocol);
    let Cache { memory, max_object, slice_size, cache_status: _ } = cache;
    let of = &running.cache;
    kept.keep("cache.memory", &of.memory, memory);
    kept.keep("cache.max_object", &of.max_object, max_object);
    kept.keep("cache.slice_size", &of.slice_size, slice_size);
    let Log { format, access: _, fields: _, standard: _ } = log;
    kept.keep("log.format", &running.log.format, format);
    let Admin { keys } = admin;
    // The address may be one that only keys make bearable, and it stays.
    if keys.is_empty() != running.admin.keys.is_empty() {
        kept.keep("admin.key", &running.admin.keys, keys);
    }
    for distribution in distributions.iter_mut().filter(|_| !has_udp) {
        kept.keep("distribution.http_version", &false, &mut distribution.http3);
    }
    kept.0.dedup();
    kept.0
}

struct Kept(Vec<&'static str>);

impl Kept {
    fn keep<T: Clone + PartialEq>(&mut self, key: &'static str, running: &T, wanted: &mut T) {
        if wanted != running {
            wanted.clone_from(running);
            self.0.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Environment, Overrides};

    const REST: &str = "[[distribution]]\naliases = [\"a.example.com\"]\nhttp_version = \"http2and3\"\n\
                        [[distribution.origin]]\nbucket = \"assets\"\nregion = \"eu-west-1\"\n";

    fn config(text: &str) -> Config {
        let environment = Environment { s3_endpoint: None, region: None, parallelism: 2 };
        let loaded =
            config::load_toml("test.toml", &format!("{text}{REST}"), &environment, &Overrides::default());
        loaded.unwrap().config
    }

    #[test]
    fn what_is_bound_or_laid_out_at_start_waits_for_a_restart() {
        let running = config("");
        for (text, has_udp, expected) in [
            ("", true, &[][..]),
            ("[listen]\nhttp = \":81\"\n", true, &["listen.http"]),
            ("[listen]\nhttps = \":444\"\nadmin = \":91\"\n", true, &["listen.https", "listen.admin"]),
            ("[listen]\nworkers = 7\nfast_path = false\n", true, &["listen.workers", "listen.fast_path"]),
            ("[listen]\ngrace = \"1s\"\nhandshakes = 3\n", true, &["listen.grace", "listen.handshakes"]),
            ("[listen]\nunproven_handshakes = 3\n", true, &["listen.unproven_handshakes"]),
            ("[listen]\nproxy_protocol = [\"10.0.0.0/8\"]\n", true, &["listen.proxy_protocol"]),
            ("[listen]\npublic_https_port = 443\ndrain_delay = \"1s\"\n", true, &[]),
            // The largest object follows from the memory.
            ("[cache]\nmemory = \"1GiB\"\n", true, &["cache.memory", "cache.max_object"]),
            (
                "[cache]\nmax_object = \"5MiB\"\nslice_size = \"2MiB\"\n",
                true,
                &["cache.max_object", "cache.slice_size"],
            ),
            ("[cache]\ncache_status = true\n", true, &[]),
            ("[log]\nformat = \"json\"\naccess = \"off\"\n", true, &["log.format"]),
            ("[tls]\nearly_data = true\n[identity]\nname = \"other\"\n", true, &[]),
            (
                "[[admin.key]]\naccess_key_id = \"ADMIN1\"\nsecret_access_key_file = \"secret\"\n",
                true,
                &["admin.key"],
            ),
            ("", false, &["distribution.http_version"]),
        ] {
            let mut wanted = config(text);
            assert_eq!(keep(&running, has_udp, &mut wanted), expected, "{text}");
            assert_eq!(wanted.listen.http, running.listen.http);
            assert_eq!(wanted.cache.memory, running.cache.memory);
            assert_eq!(wanted.has_http3(), has_udp, "nobody is told of what is not there");
        }
    }

    #[test]
    fn keys_of_administrators_take_each_others_place_at_once() {
        let key = |id: &str| {
            format!("[[admin.key]]\naccess_key_id = \"{id}\"\nsecret_access_key_file = \"secret\"\n")
        };
        let mut wanted = config(&key("ADMIN2"));
        assert!(keep(&config(&key("ADMIN1")), true, &mut wanted).is_empty());
        assert_eq!(&*wanted.admin.keys[0].access_key_id, "ADMIN2");
    }
}
