use super::super::super::Failover;
use super::*;

/// [`SITE`] and another origin, then these keys from line 13 on.
fn group(keys: &str) -> String {
    with(&format!(
        "[[distribution.origin]]\nbucket = \"other\"\nregion = \"eu-west-1\"\n[[distribution.origin_group]]\n{keys}"
    ))
}

/// behaviour §1.6, §8.8
#[test]
fn what_is_wrong_with_an_origin_group() {
    const ID: &str = "13: distribution.origin_group.id";
    const MEMBERS: &str = "14: distribution.origin_group.members";
    const CODES: &str = "15: distribution.origin_group.status_codes";
    let of = |id: &str, members: &str, codes: &str| {
        group(&format!("id = {id}\nmembers = {members}\nstatus_codes = {codes}"))
    };
    let both = "[\"site\", \"other\"]";
    check([
        error(
            group(&format!("members = {both}\nstatus_codes = [500]")),
            "12: distribution.origin_group.id",
            "is missing",
            "behaviours name",
        ),
        error(
            group("id = \"g\"\nstatus_codes = [500]"),
            "12: distribution.origin_group.members",
            "is missing",
            "PRIMARY",
        ),
        error(
            group(&format!("id = \"g\"\nmembers = {both}")),
            "12: distribution.origin_group.status_codes",
            "is missing",
            "400, 403, 404, 416, 429, 500, 502, 503, 504",
        ),
        error(of("\"\"", both, "[500]"), ID, "is not 1 to 128", "printable"),
        error(of("\"site\"", both, "[500]"), ID, "\"site\" is an origin's id too", "of its own"),
        error(of("\"g\"", "[]", "[500]"), MEMBERS, "InvalidArgument: 0 members", "PRIMARY"),
        error(of("\"g\"", "[\"site\"]", "[500]"), MEMBERS, "InvalidArgument: 1 members", "PRIMARY"),
        error(of("\"g\"", "[\"site\", \"site\"]", "[500]"), MEMBERS, "the same origin", "PRIMARY"),
        error(of("\"g\"", "[\"site\", \"othr\"]", "[500]"), MEMBERS, "no origin \"othr\"", "\"other\""),
        error(of("\"g\"", both, "[]"), CODES, "is empty", "400, 403, 404, 416, 429"),
        error(of("\"g\"", both, "[500, 501]"), CODES, "501 does not lead to failover", "502, 503"),
        error(
            group(&format!(
                "id = \"g\"\nmembers = {both}\nstatus_codes = [500]\n[[distribution.origin_group]]\nid = \"g\"\n\
                 members = {both}\nstatus_codes = [500]"
            )),
            "17: distribution.origin_group.id",
            "\"g\" is taken already",
            "of its own",
        ),
    ]);
    let many = "[[distribution.origin_group]]\n".repeat(11);
    let found = findings(load(&with(&many)));
    assert!(lines(&found).contains("TooManyOriginGroupsPerDistribution: 11"), "{}", lines(&found));
}

#[test]
fn a_behaviour_names_an_origin_or_a_group() {
    let named = |id: &str| {
        group("id = \"g\"\nmembers = [\"other\", \"site\"]\nstatus_codes = [504, 403, 504]")
            .replace("target_origin = \"site\"", &format!("target_origin = \"{id}\""))
    };
    let behavior = |id: &str| config(&named(id)).distributions[0].behaviors[0].clone();
    assert_eq!((behavior("other").origin, &behavior("other").failover), (1, &None));
    let failover = Failover { origin: 0, status_codes: vec![403, 504] };
    assert_eq!((behavior("g").origin, &behavior("g").failover), (1, &Some(failover)));
    check([error(
        named("gg"),
        "4: distribution.default_cache_behavior.target_origin",
        "no origin \"gg\"",
        "",
    )]);
}
