//! What a route's text means: `{param}` is what stands up to the next `/`, `{rest...}` is all that follows.
//!
//! A doubled brace is a brace. A param may have literal text before and behind it in its segment
//! (`/compare/{base}...{head}`); two params need some between them.

/// One piece of a route's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes that must be there.
    Literal(String),
    /// One or more characters, none of them a slash.
    Param(String),
    /// Whatever follows, also nothing.
    Tail(String),
}

/// Why a text is no template, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Offset in bytes.
    pub position: usize,
    /// What is wrong and what to do.
    pub reason: &'static str,
}

/// Take a route's text apart.
///
/// # Errors
/// When braces do not pair, a name is no identifier or comes twice, or a tail is not at the end.
pub fn parse(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(next) = text[at..].find(['{', '}']) {
        let brace = at + next;
        literal.push_str(&text[at..brace]);
        let doubled = text[brace..].starts_with("{{") || text[brace..].starts_with("}}");
        if doubled {
            literal.push_str(&text[brace..=brace]);
            at = brace + 2;
            continue;
        }
        if text[brace..].starts_with('}') {
            return Err(at_brace(brace, "a '}' without its '{'; write '}}' for a brace"));
        }
        let Some(close) = text[brace..].find('}').map(|close| brace + close) else {
            return Err(at_brace(brace, "a '{' without its '}'; write '{{' for a brace"));
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(named(&text[brace + 1..close], brace, &parts)?);
        at = close + 1;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    if let Some(tail) = parts.iter().position(|part| matches!(part, Part::Tail(_)))
        && tail + 1 != parts.len()
    {
        return Err(at_brace(text.len(), "a '{rest...}' tail must be the end of the route"));
    }
    Ok(parts)
}

/// The names in a template, in order.
pub fn names(parts: &[Part]) -> impl Iterator<Item = &str> {
    parts.iter().filter_map(|part| match part {
        Part::Literal(_) => None,
        Part::Param(name) | Part::Tail(name) => Some(name.as_str()),
    })
}

fn named(inside: &str, brace: usize, before: &[Part]) -> Result<Part, TemplateError> {
    let name = inside.strip_suffix("...").unwrap_or(inside);
    let mut chars = name.chars();
    let identifier = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if !identifier {
        return Err(at_brace(brace, "a param's name must be a letter followed by letters, digits, '_' or '-'"));
    }
    if names(before).any(|known| known == name) {
        return Err(at_brace(brace, "a param's name comes twice; give each its own"));
    }
    if matches!(before.last(), Some(Part::Param(_))) {
        return Err(at_brace(brace, "two params touch; put some text between them"));
    }
    Ok(if inside.ends_with("...") { Part::Tail(name.to_owned()) } else { Part::Param(name.to_owned()) })
}

const fn at_brace(position: usize, reason: &'static str) -> TemplateError {
    TemplateError { position, reason }
}
