//! jq's own names, and how an expression and those of them that it uses become a program.

use std::collections::BTreeSet;

use jaq_core::{
    Compiler, Error as JqError,
    box_iter::box_once,
    compile::Undefined,
    data::JustLut,
    load::{
        self, Arena, File, Lexer, Loader, Parser,
        parse::{Def, Term},
    },
    native::{Fun, bome, run, v},
};
use jaq_json::{Num, Val};

use super::{
    LARGEST, Program,
    check::{Check, Error, MULTIPLY, Name},
    place, read,
};

/// What expressions may use. Making one takes longer than compiling with it.
pub struct Library {
    definitions: Vec<Definition>,
    natives: Vec<&'static str>,
}

struct Definition {
    def: Def<&'static str>,
    uses: BTreeSet<Name<'static>>,
}

impl Library {
    pub fn new() -> Library {
        let ours = load::parse(include_str!("definitions.jq"), |parser| parser.defs()).unwrap_or_default();
        let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs()).chain(ours).map(|mut def| {
            let mut check = Check::lenient();
            check.definition(&mut def);
            Definition { def, uses: check.used }
        });
        Library { definitions: definitions.collect(), natives: natives().map(|native| native.0).collect() }
    }

    /// Makes a program of an expression.
    ///
    /// # Errors
    /// It is no jq, uses what is not there, or what could run without end or read the process.
    pub fn compile(&self, source: &str) -> Result<Program, Error> {
        let mut term = parse(source)?;
        let mut check = Check::strict();
        check.expression(source, &mut term)?;
        let (definitions, natives) = self.reached(check.used);
        let main = Def { name: MAIN, args: Vec::new(), body: term };
        let prelude = definitions.into_iter().map(|definition| definition.def.clone()).chain([main]);
        let arena = Arena::default();
        // What was parsed is in the prelude; this only names it.
        let modules = Loader::new(prelude).load(&arena, File { code: MAIN, path: () });
        let modules = modules.map_err(|_| Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() })?;
        let compiled = Compiler::default().with_funs(natives).compile(modules);
        match compiled {
            Ok(filter) => Ok(Program { source: source.into(), filter }),
            Err(errors) => Err(match errors.first().and_then(|(_, errors)| errors.first()) {
                Some((name, undefined)) => self.undefined(source, name, undefined),
                None => Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() },
            }),
        }
    }

    /// What can be called, each as often as it has meanings.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        let is_public = |name: &&str| !name.starts_with('!') && !name.contains("_empty") && !name.ends_with('_');
        self.definitions.iter().map(|definition| definition.def.name).chain(self.natives.iter().copied()).filter(is_public)
    }

    /// The definitions that `used` needs, in their order, and the natives.
    fn reached(&self, mut used: BTreeSet<Name<'_>>) -> (Vec<&Definition>, Vec<Fun<JustLut<Val>>>) {
        let mut wanted = vec![false; self.definitions.len()];
        // Later definitions use earlier ones, but a definition may use itself and nothing later.
        for (definition, wanted) in self.definitions.iter().zip(&mut wanted).rev() {
            if used.contains(&(definition.def.name, definition.def.args.len())) {
                *wanted = true;
                used.extend(&definition.uses);
            }
        }
        let natives = natives().filter(|native| used.contains(&(native.0, native.1.len()))).collect();
        (self.definitions.iter().zip(wanted).filter(|(_, wanted)| *wanted).map(|(definition, _)| definition).collect(), natives)
    }

    fn undefined(&self, source: &str, name: &str, undefined: &Undefined) -> Error {
        let at = place(source, name);
        let given = match undefined {
            Undefined::Filter(0) => "no argument".to_owned(),
            Undefined::Filter(1) => "one argument".to_owned(),
            Undefined::Filter(many) => format!("{many} arguments"),
            other => return Error::Undefined { name: name.to_owned(), what: other.as_str(), at },
        };
        let names = self.definitions.iter().map(|definition| definition.def.name);
        let is_known = names.chain(self.natives.iter().copied()).any(|known| known == name);
        match is_known {
            true => Error::WrongArguments { name: name.to_owned(), given, at },
            false => Error::Undefined { name: name.to_owned(), what: "filter", at },
        }
    }
}

impl Default for Library {
    fn default() -> Library {
        Library::new()
    }
}

fn parse(source: &str) -> Result<Term<&str>, Error> {
    let tokens = Lexer::new(source).lex().map_err(|errors| match errors.first() {
        Some((expected, found)) => {
            // What is found is the rest of the text: its first character is where it goes wrong.
            let start = place(source, found).start;
            let end = source[start..].chars().next().map_or(start, |character| start + character.len_utf8());
            Error::Syntax { expected: expected.as_str().to_owned(), at: start..end }
        }
        None => Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() },
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| match errors.first() {
        Some((expected, Some(found))) => Error::Syntax { expected: described(expected.as_str()), at: place(source, found.0) },
        Some((expected, None)) => Error::Syntax { expected: described(expected.as_str()), at: source.len()..source.len() },
        None => Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() },
    })
}

fn described(expected: &str) -> String {
    match expected {
        "term" => "an expression".to_owned(),
        "nothing" => "the end, or an operator such as `|`".to_owned(),
        token if token.len() > 1 && token.contains(' ') || WORDS.contains(&token) => format!("a {token}"),
        token => format!("`{token}`"),
    }
}

fn natives() -> impl Iterator<Item = Fun<JustLut<Val>>> {
    let theirs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    theirs.filter(|native| native.0 != "fromjson").chain(own())
}

/// Names of our own, in place of jaq's where those have no bound.
fn own() -> impl Iterator<Item = Fun<JustLut<Val>>> {
    let multiply = run((MULTIPLY.0, v(2), |mut cv| {
        let right = cv.0.pop_var();
        let left = cv.0.pop_var();
        bome(multiply(left, right))
    }));
    let from_json = run(("fromjson", v(0), |cv| match &cv.1 {
        Val::TStr(text) if !read::is_too_deep(text) => {
            let values: Vec<_> = jaq_json::read::parse_many(text)
                .map(|value| value.map_err(|error| JqError::str(format_args!("cannot parse {} as JSON: {error}", cv.1)).into()))
                .collect();
            Box::new(values.into_iter())
        }
        Val::TStr(_) => box_once(Err(JqError::str("more than 127 arrays and objects inside one another").into())),
        other => box_once(Err(JqError::typ(other.clone(), "string").into())),
    }));
    [multiply, from_json].into_iter()
}

fn multiply(left: Val, right: Val) -> Result<Val, JqError<Val>> {
    let length = |value: &Val| match value {
        Val::BStr(text) | Val::TStr(text) => Some(text.len()),
        _ => None,
    };
    let times = |value: &Val| match value {
        Val::Num(Num::Int(times)) => usize::try_from(*times).unwrap_or_default(),
        Val::Num(Num::BigInt(_)) => usize::MAX,
        _ => 0,
    };
    let bits = |value: &Val| match value {
        Val::Num(Num::BigInt(number)) => number.bits() as usize,
        _ => 64,
    };
    let repeated = length(&left).map(|length| length.saturating_mul(times(&right)));
    let repeated = repeated.or_else(|| length(&right).map(|length| length.saturating_mul(times(&left))));
    if repeated.is_some_and(|bytes| bytes > LARGEST) {
        return Err(JqError::str("a string is repeated beyond 1 MiB"));
    }
    if bits(&left) + bits(&right) > 8 * LARGEST {
        return Err(JqError::str("a number is larger than 1 MiB"));
    }
    left * right
}

const MAIN: &str = "sidehook_main";

const WORDS: &[&str] = &["variable", "pattern", "key", "identifier", "argument", "string"];
