//! Method and path → operation (behaviour §1.11).

use http::{Method, StatusCode};

use super::error::Refusal;

pub(in crate::admin) const PREFIX: &str = "/2020-05-31/";

/// What is carried out here; the names are CloudFront's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation<'p> {
    ListDistributions,
    GetDistribution(&'p str),
    GetDistributionConfig(&'p str),
    CreateInvalidation(&'p str),
    ListInvalidations(&'p str),
    /// Distribution, invalidation.
    GetInvalidation(&'p str, &'p str),
}

const BUILT: &str = "CreateInvalidation, GetInvalidation, ListInvalidations, GetDistribution, \
                     GetDistributionConfig and ListDistributions";

impl<'p> Operation<'p> {
    /// # Errors
    /// What the caller is told: it would change a distribution, it is another of CloudFront's operations, or none.
    pub(super) fn of(method: &Method, path: &'p str) -> Result<Self, Refusal> {
        let rest = path.strip_prefix(PREFIX).unwrap_or_default();
        // The AWS SDKs of some languages write a slash at the end.
        let segments: Vec<&str> = rest.strip_suffix('/').unwrap_or(rest).split('/').collect();
        let (get, post) = (method == Method::GET, method == Method::POST);
        let (put, delete) = (method == Method::PUT, method == Method::DELETE);
        Ok(match segments[..] {
            ["distribution"] if get => Self::ListDistributions,
            ["distribution"] if post => return Err(unchanged("CreateDistribution")),
            ["distribution"] => return Err(method_not_allowed("GET")),
            ["distribution", id] if get => Self::GetDistribution(id),
            ["distribution", _] if delete => return Err(unchanged("DeleteDistribution")),
            ["distribution", _] => return Err(method_not_allowed("GET")),
            ["distribution", id, "config"] if get => Self::GetDistributionConfig(id),
            ["distribution", _, "config"] if put => return Err(unchanged("UpdateDistribution")),
            ["distribution", _, "config"] => return Err(method_not_allowed("GET")),
            ["distribution", id, "invalidation"] if get => Self::ListInvalidations(id),
            ["distribution", id, "invalidation"] if post => Self::CreateInvalidation(id),
            ["distribution", _, "invalidation"] => return Err(method_not_allowed("GET, POST")),
            ["distribution", id, "invalidation", invalidation] if get => {
                Self::GetInvalidation(id, invalidation)
            }
            ["distribution", _, "invalidation", _] => return Err(method_not_allowed("GET")),
            ["distribution", _, "copy"] if post => return Err(unchanged("CopyDistribution")),
            ["distribution", _, "associate-alias"] if put => return Err(unchanged("AssociateAlias")),
            ["distribution", _, "promote-staging-config"] if put => {
                return Err(unchanged("UpdateDistributionWithStagingConfig"));
            }
            ["distribution", _, "associate-web-acl"] if put => {
                return Err(unchanged("AssociateDistributionWebACL"));
            }
            ["distribution", _, "disassociate-web-acl"] if put => {
                return Err(unchanged("DisassociateDistributionWebACL"));
            }
            _ => return Err(not_built()),
        })
    }
}

fn unchanged(name: &str) -> Refusal {
    let message = format!(
        "{name} is not carried out here: an edge's distributions are what its configuration says. Change that, and start \
         the edge with it."
    );
    Refusal::forbidden("AccessDenied", message)
}

fn method_not_allowed(allow: &'static str) -> Refusal {
    let message = format!("The method is not allowed against this resource; allowed: {allow}.");
    Refusal {
        allow: Some(allow),
        ..Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }
}

fn not_built() -> Refusal {
    let message = format!("This edge has no such operation. There are {BUILT}.");
    Refusal::new(StatusCode::NOT_IMPLEMENTED, "NotImplemented", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_and_paths() {
        use Operation::*;
        type Expected = Result<Operation<'static>, (u16, &'static str)>;
        let table: &[(&str, &str, Expected)] = &[
            ("GET", "distribution", Ok(ListDistributions)),
            ("GET", "distribution/", Ok(ListDistributions)),
            ("GET", "distribution/E1", Ok(GetDistribution("E1"))),
            ("GET", "distribution/E1/config", Ok(GetDistributionConfig("E1"))),
            ("GET", "distribution/E1/invalidation", Ok(ListInvalidations("E1"))),
            ("POST", "distribution/E1/invalidation", Ok(CreateInvalidation("E1"))),
            ("GET", "distribution/E1/invalidation/I1", Ok(GetInvalidation("E1", "I1"))),
            ("POST", "distribution", Err((403, "CreateDistribution"))),
            ("PUT", "distribution/E1/config", Err((403, "UpdateDistribution"))),
            ("DELETE", "distribution/E1", Err((403, "DeleteDistribution"))),
            ("POST", "distribution/E1/copy", Err((403, "CopyDistribution"))),
            ("PUT", "distribution/E1/associate-alias", Err((403, "AssociateAlias"))),
            ("HEAD", "distribution", Err((405, "GET"))),
            ("PATCH", "distribution/E1/config", Err((405, "GET"))),
            ("DELETE", "distribution/E1/invalidation", Err((405, "GET, POST"))),
            ("DELETE", "distribution/E1/invalidation/I1", Err((405, "GET"))),
            ("POST", "distribution/E1", Err((405, "GET"))),
            ("GET", "cache-policy", Err((501, "no such operation"))),
            ("GET", "distribution/E1/invalidation/I1/x", Err((501, "no such operation"))),
            ("GET", "", Err((501, "no such operation"))),
        ];
        for (method, rest, expected) in table {
            let path = format!("{PREFIX}{rest}");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            match (Operation::of(&method, &path), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, *expected, "{method} {path}"),
                (Err(found), Err((status, words))) => {
                    assert_eq!(found.status, *status, "{method} {path}");
                    assert!(found.message.contains(words), "{method} {path}: {}", found.message);
                    assert_eq!(found.allow.is_some(), *status == 405, "{method} {path}");
                }
                (found, _) => panic!("{method} {path}: {found:?}"),
            }
        }
    }
}
