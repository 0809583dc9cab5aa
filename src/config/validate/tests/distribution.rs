use super::*;

/// Two distributions, the second with these keys.
fn second(keys: &str) -> String {
    let first = SITE.replace("id = \"site\"\n[dist", "id = \"first\"\naliases = [\"one.example\"]\n[dist");
    format!(
        "{first}[[distribution]]\n{keys}\n[[distribution.origin]]\nbucket = \"other\"\nregion = \"eu-west-1\"\n"
    )
}

#[test]
fn there_must_be_something_to_serve() {
    check([
        error("", "-: distribution", "nothing to serve", "[[distribution]]"),
        error("distribution = []", "-: distribution", "nothing to serve", "[[distribution]]"),
        error("[[distribution]]", "1: distribution.origin", "no origin", "[[distribution.origin]]"),
    ]);
}

#[test]
fn several_distributions_need_ids_and_names() {
    check([
        error(
            second("aliases = [\"two.example\"]"),
            "10: distribution.id",
            "is missing, and there are several",
            "give each an id",
        ),
        error(second("id = \"two\""), "10: distribution.aliases", "no request could choose", "aliases ="),
        error(second("id = \"two\"\naliases = []"), "10: distribution.aliases", "no request", "aliases ="),
        error(
            second("id = \"first\"\naliases = [\"two.example\"]"),
            "11: distribution.id",
            "\"first\" is taken already, at edge.toml:2",
            "name of its own",
        ),
        error(
            second("id = \"two\"\naliases = [\"two.example\", \"one.example\"]"),
            "12: distribution.aliases",
            "CNAMEAlreadyExists: \"one.example\"",
            "one distribution",
        ),
        error(
            "[[distribution]]\nid = \".site\"\n[[distribution.origin]]\nbucket = \"site\"\nregion = \"r\"",
            "2: distribution.id",
            "is not 1 to 128",
            "no dot first",
        ),
        error(
            "[[distribution]]\nid = \"a/b\"\n[[distribution.origin]]\nbucket = \"site\"\nregion = \"r\"",
            "2: distribution.id",
            "\"a/b\" is not",
            "letters",
        ),
    ]);
    // A wildcard beside a narrower name is allowed (behaviour §1.2).
    let config = config(&second("id = \"two\"\naliases = [\"*.example\"]"));
    assert_eq!(config.distributions[1].aliases, [std::sync::Arc::from("*.example")]);
}

/// behaviour §1.2
#[test]
fn aliases() {
    let alias =
        |name: &str| SITE.replacen("id = \"site\"", &format!("id = \"x\"\naliases = [\"{name}\"]"), 1);
    let place = "3: distribution.aliases";
    check([
        error(alias("WWW.Example.com"), place, "capital letters", "write \"www.example.com\""),
        error(alias("*domain.example.com"), place, "wildcard elsewhere", "whole first label"),
        error(alias("a.*.example.com"), place, "wildcard elsewhere", "whole first label"),
        error(alias("*.*.example.com"), place, "wildcard elsewhere", "whole first label"),
        error(alias("https://example.com"), place, "not a host name alone", "leave out scheme"),
        error(alias("example.com:443"), place, "not a host name alone", "leave out scheme"),
        error(alias("example.com."), place, "ends with a dot", "write \"example.com\""),
        error(alias("a..b"), place, "not a DNS name", "labels"),
        error(alias("-a.example"), place, "not a DNS name", "labels"),
        error(alias(""), place, "not a DNS name", "labels"),
        error(alias("*."), place, "ends with a dot", ""),
        error(alias("bücher.example"), place, "beyond ASCII", "Punycode"),
        error(alias("a.example\", \"a.example"), place, "\"a.example\" is taken already", ""),
    ]);
    let many: Vec<String> = (0..101).map(|n| format!("a{n}.example")).collect();
    check([error(alias(&many.join("\", \"")), place, "101 aliases", "at most 100")]);
}

/// behaviour §1.4
#[test]
fn default_root_object() {
    let root = |name: &str| {
        SITE.replacen("id = \"site\"", &format!("id = \"x\"\ndefault_root_object = '''{name}'''"), 1)
    };
    let place = "3: distribution.default_root_object";
    check([
        error(root("/index.html"), place, "InvalidDefaultRootObject", "write \"index.html\""),
        error(root("in dex.html"), place, "InvalidDefaultRootObject", "at most 255"),
        error(root("index.html?a"), place, "InvalidDefaultRootObject", "at most 255"),
        error(root(&"a".repeat(256)), place, "InvalidDefaultRootObject", "at most 255"),
    ]);
    for (typed, expected) in
        [("", None), ("folder/index.html", Some("folder/index.html")), ("~\"&$", Some("~\"&$"))]
    {
        let config = config(&root(typed));
        assert_eq!(config.distributions[0].default_root_object.as_deref(), expected);
    }
}

#[test]
fn origin_ids_are_unique_also_where_they_are_the_buckets_name() {
    let again =
        |id: &str| format!("{SITE}[[distribution.origin]]\n{id}bucket = \"site\"\nregion = \"eu-west-1\"\n");
    check([
        error(
            again(""),
            "9: distribution.origin.id",
            "the origin id \"site\" is taken already",
            "name of its own",
        ),
        error(again("id = \"site\"\n"), "10: distribution.origin.id", "is taken already, at edge.toml:6", ""),
        error(again("id = \"\"\n"), "10: distribution.origin.id", "printable", ""),
    ]);
    let named = "[[distribution.origin]]\ndomain_name = \"site.s3.eu-west-1.amazonaws.com\"\n";
    check([error(with(named), "9: distribution.origin.id", "the origin id \"site\" is taken already", "")]);
    assert_eq!(config(&again("id = \"again\"\n")).distributions[0].origins.len(), 2);
}
