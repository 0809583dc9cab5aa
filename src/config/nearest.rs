//! The known name that a mistyped one most likely meant.

/// `None` when nothing is close: a wrong guess is worse than none.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(&typed.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= 0.85)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name_and_a_stranger_finds_none() {
        let known = ["bucket", "region", "endpoint", "role_arn"];
        for (typed, expected) in [
            ("buckte", Some("bucket")),
            ("Bucket", Some("bucket")),
            ("rolearn", Some("role_arn")),
            ("regio", Some("region")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
    }
}
