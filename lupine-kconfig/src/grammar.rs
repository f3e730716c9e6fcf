//! Statements: one logical line of tokens each.

use nom::branch::alt;
use nom::combinator::{map, opt, value};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

use crate::expr::Comparison;
use crate::lexer::{Keyword, Kind};
use crate::preprocess::Flavor;
use crate::symbol::SymbolType;

/// Parentheses and negations nest at most this deep.
const MAX_NESTING: u32 = 500;

/// A token with the place of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Range of the text, in the file or in the expanded texts of the statement.
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) expanded: bool,
    /// Offset in the file, for diagnostics.
    pub(crate) at: u32,
}

/// A name or a literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    pub(crate) text: Token,
    pub(crate) constant: bool,
}

/// An expression as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExprTree {
    Symbol(Operand),
    Compare(Comparison, Operand, Operand),
    Not(Box<ExprTree>),
    And(Box<ExprTree>, Box<ExprTree>),
    Or(Box<ExprTree>, Box<ExprTree>),
}

/// How `source` treats its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SourceKind {
    pub(crate) relative: bool,
    pub(crate) optional: bool,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    Mainmenu(Token),
    Config(Token),
    Menuconfig(Token),
    Choice(Option<Token>),
    Menu(Token),
    Comment(Token),
    If(ExprTree),
    EndChoice,
    EndIf,
    EndMenu,
    Source(Token, SourceKind),
    Assignment(Token, Flavor),
    Type(SymbolType, Option<(Token, Option<ExprTree>)>),
    Prompt(Token, Option<ExprTree>),
    Default(Option<SymbolType>, ExprTree, Option<ExprTree>),
    Select(Token, Option<ExprTree>),
    Imply(Token, Option<ExprTree>),
    Range(Operand, Operand, Option<ExprTree>),
    Depends(ExprTree, Option<ExprTree>),
    Visible(Option<ExprTree>),
    Modules,
    Transitional,
    Optional,
    OptionEnv(Token),
    OptionDefconfigList,
    OptionAllnoconfigY,
    Help,
}

impl Statement {
    /// Whether it may come before the first entry and declares nothing.
    pub(crate) fn is_head(&self) -> bool {
        matches!(
            self,
            Self::Mainmenu(_) | Self::Source(..) | Self::Assignment(..)
        )
    }
}

/// What the dialect adds to the grammar.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extensions {
    /// Paths, prompts and titles may stand without quotes.
    pub(crate) bare_text: bool,
    pub(crate) named_choice: bool,
    pub(crate) conditional_depends: bool,
}

type Tokens<'a> = &'a [Token];

/// How many tokens were left when none fitted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stuck {
    left: usize,
}

impl<'a> nom::error::ParseError<Tokens<'a>> for Stuck {
    fn from_error_kind(input: Tokens<'a>, _: nom::error::ErrorKind) -> Self {
        Stuck { left: input.len() }
    }

    fn append(_: Tokens<'a>, _: nom::error::ErrorKind, other: Self) -> Self {
        other
    }

    /// Of two alternatives, the one that went further is the one meant.
    fn or(self, other: Self) -> Self {
        if self.left <= other.left { self } else { other }
    }
}

type Parsed<'a, T> = IResult<Tokens<'a>, T, Stuck>;

fn stuck<T>(input: Tokens<'_>) -> Parsed<'_, T> {
    Err(nom::Err::Error(Stuck { left: input.len() }))
}

fn kind<'a>(wanted: Kind) -> impl Parser<Tokens<'a>, Output = Token, Error = Stuck> {
    move |input: Tokens<'a>| match input.split_first() {
        Some((token, rest)) if token.kind == wanted => Ok((rest, *token)),
        _ => stuck(input),
    }
}

fn keyword<'a>(wanted: Keyword) -> impl Parser<Tokens<'a>, Output = Token, Error = Stuck> {
    kind(Kind::Keyword(wanted))
}

fn word(input: Tokens<'_>) -> Parsed<'_, Token> {
    kind(Kind::Word).parse(input)
}

fn quoted(input: Tokens<'_>) -> Parsed<'_, Token> {
    kind(Kind::Quoted).parse(input)
}

fn operand(input: Tokens<'_>) -> Parsed<'_, Operand> {
    match input.split_first() {
        Some((text, rest)) if matches!(text.kind, Kind::Word | Kind::Quoted) => Ok((
            rest,
            Operand {
                text: *text,
                constant: text.kind == Kind::Quoted,
            },
        )),
        _ => stuck(input),
    }
}

fn comparison(input: Tokens<'_>) -> Parsed<'_, Comparison> {
    let how = match input.first().map(|token| token.kind) {
        Some(Kind::Equal) => Comparison::Equal,
        Some(Kind::Unequal) => Comparison::Unequal,
        Some(Kind::Less) => Comparison::Less,
        Some(Kind::LessOrEqual) => Comparison::LessOrEqual,
        Some(Kind::Greater) => Comparison::Greater,
        Some(Kind::GreaterOrEqual) => Comparison::GreaterOrEqual,
        _ => return stuck(input),
    };
    Ok((&input[1..], how))
}

fn primary(input: Tokens<'_>, depth: u32) -> Parsed<'_, ExprTree> {
    if depth > MAX_NESTING {
        return stuck(input);
    }
    match input.first().map(|token| token.kind) {
        Some(Kind::Not) => {
            let (rest, inner) = primary(&input[1..], depth + 1)?;
            Ok((rest, ExprTree::Not(Box::new(inner))))
        }
        Some(Kind::Open) => {
            terminated(|input| disjunction(input, depth + 1), kind(Kind::Close)).parse(&input[1..])
        }
        _ => {
            let (rest, left) = operand(input)?;
            let (rest, how) = opt(comparison).parse(rest)?;
            match how {
                None => Ok((rest, ExprTree::Symbol(left))),
                Some(how) => map(operand, |right| ExprTree::Compare(how, left, right)).parse(rest),
            }
        }
    }
}

/// Operands joined by one operator, grouped from the left.
fn chain<'a>(
    input: Tokens<'a>,
    operator: Kind,
    join: fn(Box<ExprTree>, Box<ExprTree>) -> ExprTree,
    next: impl Fn(Tokens<'a>) -> Parsed<'a, ExprTree>,
) -> Parsed<'a, ExprTree> {
    let (mut input, mut left) = next(input)?;
    while input.first().is_some_and(|token| token.kind == operator) {
        let (rest, right) = next(&input[1..])?;
        left = join(Box::new(left), Box::new(right));
        input = rest;
    }
    Ok((input, left))
}

fn disjunction(input: Tokens<'_>, depth: u32) -> Parsed<'_, ExprTree> {
    chain(input, Kind::Or, ExprTree::Or, |input| {
        chain(input, Kind::And, ExprTree::And, |input| {
            primary(input, depth)
        })
    })
}

fn expr(input: Tokens<'_>) -> Parsed<'_, ExprTree> {
    disjunction(input, 0)
}

fn condition(input: Tokens<'_>) -> Parsed<'_, Option<ExprTree>> {
    opt(preceded(keyword(Keyword::If), expr)).parse(input)
}

fn logical_or_other_type(keyword: Keyword) -> Option<SymbolType> {
    Some(match keyword {
        Keyword::Bool => SymbolType::Bool,
        Keyword::Tristate => SymbolType::Tristate,
        Keyword::Int => SymbolType::Int,
        Keyword::Hex => SymbolType::Hex,
        Keyword::String => SymbolType::String,
        _ => return None,
    })
}

fn option(input: Tokens<'_>, text_of: &dyn Fn(&Token) -> Vec<u8>) -> Result<Statement, usize> {
    let name = input.get(1).map(text_of).unwrap_or_default();
    match (name.as_slice(), input.get(2).map(|token| token.kind)) {
        (b"env", Some(Kind::Equal)) => match input.get(3) {
            Some(token) if input.len() == 4 && token.kind == Kind::Quoted => {
                Ok(Statement::OptionEnv(*token))
            }
            _ => Err(3),
        },
        (b"defconfig_list", None) => Ok(Statement::OptionDefconfigList),
        (b"modules", None) => Ok(Statement::Modules),
        (b"allnoconfig_y", None) => Ok(Statement::OptionAllnoconfigY),
        _ => Err(1),
    }
}

/// Parses the tokens of one statement.
///
/// # Errors
///
/// The index of the token that does not fit; the number of tokens when one is missing.
pub(crate) fn statement(
    tokens: &[Token],
    extensions: Extensions,
    text_of: &dyn Fn(&Token) -> Vec<u8>,
) -> Result<Statement, usize> {
    let Some((first, rest)) = tokens.split_first() else {
        return Err(0);
    };
    let text = |input| {
        if extensions.bare_text {
            alt((quoted, word)).parse(input)
        } else {
            quoted(input)
        }
    };
    let Kind::Keyword(keyword_) = first.kind else {
        let flavor = match rest.first().map(|token| token.kind) {
            Some(Kind::Equal) => Flavor::Recursive,
            Some(Kind::ColonEqual) => Flavor::Simple,
            Some(Kind::PlusEqual) => Flavor::Append,
            _ => return Err(usize::from(first.kind == Kind::Word)),
        };
        return match first.kind {
            Kind::Word if rest.len() == 1 => Ok(Statement::Assignment(*first, flavor)),
            Kind::Word => Err(2),
            _ => Err(0),
        };
    };
    let prompt = |input| (text, condition).parse(input);
    let source = |relative, optional| {
        map(text, move |path| {
            Statement::Source(path, SourceKind { relative, optional })
        })
    };
    let default = |type_: Option<SymbolType>, input| {
        map((expr, condition), move |(value, when)| {
            Statement::Default(type_, value, when)
        })
        .parse(input)
    };
    let nothing = |statement: Statement| value(statement, |input| Ok((input, ())));
    let parsed: Parsed<'_, Statement> = match keyword_ {
        Keyword::Mainmenu => map(text, Statement::Mainmenu).parse(rest),
        Keyword::Config => map(word, Statement::Config).parse(rest),
        Keyword::Menuconfig => map(word, Statement::Menuconfig).parse(rest),
        Keyword::Choice if extensions.named_choice => map(opt(word), Statement::Choice).parse(rest),
        Keyword::Choice => nothing(Statement::Choice(None)).parse(rest),
        Keyword::Menu => map(text, Statement::Menu).parse(rest),
        Keyword::Comment => map(text, Statement::Comment).parse(rest),
        Keyword::If => map(expr, Statement::If).parse(rest),
        Keyword::Endchoice => nothing(Statement::EndChoice).parse(rest),
        Keyword::Endif => nothing(Statement::EndIf).parse(rest),
        Keyword::Endmenu => nothing(Statement::EndMenu).parse(rest),
        Keyword::Source => source(false, false).parse(rest),
        Keyword::Rsource => source(true, false).parse(rest),
        Keyword::Osource => source(false, true).parse(rest),
        Keyword::Orsource => source(true, true).parse(rest),
        Keyword::Bool | Keyword::Tristate | Keyword::Int | Keyword::Hex | Keyword::String => {
            let type_ = logical_or_other_type(keyword_).unwrap_or_default();
            map(opt(prompt), |prompt| Statement::Type(type_, prompt)).parse(rest)
        }
        Keyword::Prompt => map(prompt, |(text, when)| Statement::Prompt(text, when)).parse(rest),
        Keyword::Default => default(None, rest),
        Keyword::DefBool => default(Some(SymbolType::Bool), rest),
        Keyword::DefTristate => default(Some(SymbolType::Tristate), rest),
        Keyword::DefInt => default(Some(SymbolType::Int), rest),
        Keyword::DefHex => default(Some(SymbolType::Hex), rest),
        Keyword::DefString => default(Some(SymbolType::String), rest),
        Keyword::Select => map((word, condition), |(name, when)| {
            Statement::Select(name, when)
        })
        .parse(rest),
        Keyword::Imply => map((word, condition), |(name, when)| {
            Statement::Imply(name, when)
        })
        .parse(rest),
        Keyword::Range => map((operand, operand, condition), |(low, high, when)| {
            Statement::Range(low, high, when)
        })
        .parse(rest),
        Keyword::Depends if extensions.conditional_depends => map(
            preceded(keyword(Keyword::On), (expr, condition)),
            |(on, when)| Statement::Depends(on, when),
        )
        .parse(rest),
        Keyword::Depends => map(preceded(keyword(Keyword::On), expr), |on| {
            Statement::Depends(on, None)
        })
        .parse(rest),
        Keyword::Visible => map(condition, Statement::Visible).parse(rest),
        Keyword::Modules => nothing(Statement::Modules).parse(rest),
        Keyword::Transitional => nothing(Statement::Transitional).parse(rest),
        Keyword::Optional => nothing(Statement::Optional).parse(rest),
        Keyword::Option => return option(tokens, text_of),
        Keyword::Help => nothing(Statement::Help).parse(rest),
        Keyword::On => return Err(0),
    };
    match parsed {
        Ok(([], statement)) => Ok(statement),
        Ok((left, _)) => Err(tokens.len() - left.len()),
        Err(nom::Err::Error(stuck) | nom::Err::Failure(stuck)) => Err(tokens.len() - stuck.left),
        Err(nom::Err::Incomplete(_)) => Err(tokens.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lexer;

    fn tokens(text: &str) -> Vec<Token> {
        let bytes = text.as_bytes();
        let mut tokens = Vec::new();
        let mut at = 0;
        loop {
            at = lexer::skip_blank(bytes, at).0;
            let (kind, end) = lexer::token(bytes, at);
            if kind == Kind::End {
                return tokens;
            }
            let place = at as u32;
            tokens.push(Token {
                kind,
                start: place,
                end: end as u32,
                expanded: false,
                at: place,
            });
            at = end;
        }
    }

    fn parse(text: &str) -> Result<Statement, usize> {
        let of = |token: &Token| text.as_bytes()[token.start as usize..token.end as usize].to_vec();
        statement(&tokens(text), Extensions::default(), &of)
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        let Ok(Statement::If(ExprTree::Or(left, right))) = parse("if !A && B || C=D") else {
            panic!("not an or");
        };
        assert!(matches!(*left, ExprTree::And(ref a, _) if matches!(**a, ExprTree::Not(_))));
        assert!(matches!(*right, ExprTree::Compare(Comparison::Equal, ..)));
    }

    #[test]
    fn errors_name_the_token() {
        assert_eq!(parse("depends on"), Err(2));
        assert_eq!(parse("depends X"), Err(1));
        assert_eq!(parse("config A B"), Err(2));
        assert_eq!(parse("if (A"), Err(3));
        assert_eq!(parse("nonsense here"), Err(1));
        assert_eq!(parse(") A"), Err(0));
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = format!("if {}A{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(parse(&text).is_err());
        let text = format!("if {}A", "!".repeat(100_000));
        assert!(parse(&text).is_err());
    }
}
