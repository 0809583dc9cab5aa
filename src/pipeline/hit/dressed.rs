//! The fields of a hit that come from its object: as they are kept, or as the behaviour's policy makes them.

use std::sync::Arc;

use http::header::{AGE, HeaderMap, ORIGIN, VARY};
use http::{Method, StatusCode};

use super::HeadWriter;
use crate::body::Body;
use crate::cache::object::{Head, Object};
use crate::cache::text::Text;
use crate::config::Behavior;
use crate::config::response_headers::{ResponseHeadersPolicy, SetHeader};
use crate::pipeline::deliver::{self, Wanted};
use crate::policy::response_headers::{self, Asked, Maker};
use crate::semantics::fields::{Fields as _, Lines};
use crate::semantics::range;
use crate::semantics::view::View;

#[derive(Debug)]
pub(super) enum Dressed<'e> {
    /// As they are kept, whatever part of the object is wanted.
    Own(Cut),
    /// Of the whole object, as this behaviour makes them for every viewer; kept with the object.
    ByBehavior(&'e Arc<Behavior>),
    /// For this viewer.
    Made(Box<Text>),
}

/// Which fields of the whole object are not the answer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    Nothing,
    /// Those that a part has of its own (see [`deliver`]).
    ForPart,
    /// Those that describe a body that does not come (RFC 9110 §15.4.5).
    ForNoBody,
}

impl<'e> Dressed<'e> {
    /// `None`: it takes more than that to answer.
    pub(super) fn of(
        object: &Object,
        behavior: &'e Arc<Behavior>,
        wanted: &Wanted,
        view: &View<'_, Lines<'_>>,
    ) -> Option<Self> {
        if matches!(wanted, Wanted::Several(_)) {
            return None;
        }
        let own = object.head.fields();
        let policy = behavior.response_headers_policy.as_ref();
        if policy.is_some_and(|policy| policy.server_timing.is_some() || is_about_age(policy)) {
            return None;
        }
        let is_changed = policy.is_some() || (behavior.asks.custom && own.get(&VARY).is_some());
        let says_length =
            own.content_length() == Some(object.len()) || object.head.status == StatusCode::NO_CONTENT;
        Some(match wanted {
            Wanted::NotModified if !is_changed => Self::Own(Cut::ForNoBody),
            Wanted::Part { .. } if !is_changed => Self::Own(Cut::ForPart),
            Wanted::Whole if !is_changed && says_length => Self::Own(Cut::Nothing),
            Wanted::Whole
                if !policy.is_some_and(|policy| policy.cors.is_some() && view.headers.has(&ORIGIN)) =>
            {
                Self::ByBehavior(behavior)
            }
            _ => Self::Made(Box::new(Text::of(&made(
                object,
                behavior,
                wanted,
                view.method,
                &view.headers.to_map(),
            )))),
        })
    }

    /// What of it the edge need not say itself, and what the log is to say.
    pub(super) fn tell(
        &self,
        object: &Object,
        content_length: Option<u64>,
        range: Option<(u64, u64)>,
        to: &mut impl HeadWriter,
    ) -> Told {
        let own = object.head.fields();
        match self {
            Self::Own(Cut::Nothing) => to.lines(own.as_bytes()),
            Self::Own(cut) => {
                own.iter()
                    .filter(|(name, _)| cut.keeps(name))
                    .for_each(|(name, value)| to.field(name, value));
                if let Some((first, last)) = range {
                    to.field("content-range", range::content_range(first, last, object.len()).as_bytes());
                    let length = content_length.unwrap_or_default();
                    to.field("content-length", itoa::Buffer::new().format(length).as_bytes());
                }
            }
            Self::ByBehavior(behavior) => {
                return object.worn(
                    behavior,
                    || whole(object, behavior),
                    |text| {
                        to.lines(text.as_bytes());
                        Told::of(text, own)
                    },
                );
            }
            Self::Made(text) => {
                to.lines(text.as_bytes());
                return Told::of(text, own);
            }
        }
        Told::of(own, own)
    }
}

/// What has been told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) has_server: bool,
    pub(super) has_date: bool,
    /// `Some`: it was another than the object's.
    pub(super) content_type: Option<Box<[u8]>>,
}

impl Told {
    fn of(text: &Text, own: &Text) -> Self {
        let other = (text.content_type() != own.content_type())
            .then(|| text.content_type().unwrap_or_default().into());
        Self { has_server: text.has_server(), has_date: text.has_date(), content_type: other }
    }
}

/// It is reckoned for each answer, and such a policy has another say.
fn is_about_age(policy: &ResponseHeadersPolicy) -> bool {
    policy.remove.contains(&AGE) || policy.custom.iter().any(|header| header.name == AGE)
}

/// Bytes that [`whole`] may come to of an object with this head; 0 where it is not asked for.
pub(in crate::pipeline) fn room(head: &Head, behavior: &Behavior) -> usize {
    const LENGTH: usize = "content-length: \r\n".len() + 20;
    const VARY_BY_ORIGIN: usize = "vary: Origin\r\n".len();
    let own = head.fields();
    let policy = behavior.response_headers_policy.as_ref();
    let is_asked_for = policy.is_some()
        || own.content_length().is_none()
        || (behavior.asks.custom && own.get(&VARY).is_some());
    let field = |header: &SetHeader| header.name.as_str().len() + header.value.len() + ": \r\n".len();
    let added = policy.iter().flat_map(|policy| policy.security.iter().chain(&policy.custom)).map(field);
    if is_asked_for { own.as_bytes().len() + LENGTH + VARY_BY_ORIGIN + added.sum::<usize>() } else { 0 }
}

impl Cut {
    fn keeps(self, name: &str) -> bool {
        match self {
            Self::Nothing => true,
            Self::ForPart => {
                !matches!(name, "content-length" | "content-range" | "content-digest" | "content-md5")
            }
            Self::ForNoBody => !name.starts_with("content-") || name == "content-location",
        }
    }
}

/// Of the whole object, for a viewer who says nothing that the policy looks at.
fn whole(object: &Object, behavior: &Behavior) -> Text {
    Text::of(&made(object, behavior, &Wanted::Whole, &Method::GET, &HeaderMap::new()))
}

/// As [`deliver`] and the rest of the pipeline make them.
fn made(
    object: &Object,
    behavior: &Behavior,
    wanted: &Wanted,
    method: &Method,
    asked: &HeaderMap,
) -> HeaderMap {
    let head = &object.head;
    let respond = |part| deliver::respond(head, part, Some(object.len()), Body::Empty).into_parts().0.headers;
    let (maker, mut headers) = match *wanted {
        Wanted::NotModified => (Maker::OriginUnchanged, deliver::without_representation(head)),
        Wanted::Part { first, last } => (Maker::Origin, respond(Some((first, last)))),
        Wanted::Whole | Wanted::Several(_) => (Maker::Origin, respond(None)),
    };
    if behavior.asks.custom {
        crate::pipeline::show_vary(&mut headers, behavior);
    }
    if let Some(policy) = &behavior.response_headers_policy {
        response_headers::apply(policy, Asked { method, headers: asked }, maker, &mut headers);
    }
    headers
}
