//! jq's own names, and how an expression and those of them that it uses become a program.

use std::{collections::BTreeSet, panic::resume_unwind, thread};

use jaq_core::{
    Compiler,
    compile::Undefined,
    data::JustLut,
    load::{
        self, Arena, File, Lexer, Loader, Parser, lex,
        parse::{Def, Term},
    },
    native::Fun,
};
use jaq_json::Val;

use super::{
    Program,
    check::{Check, Name},
    error::Error,
    natives::own,
    place,
};

/// What expressions may use. Making one takes longer than compiling with it.
pub struct Library {
    definitions: Vec<Definition>,
    natives: Vec<&'static str>,
    /// Those of them that are not jaq's.
    own: BTreeSet<Name<'static>>,
}

struct Definition {
    def: Def<&'static str>,
    uses: BTreeSet<Name<'static>>,
}

impl Library {
    pub fn new() -> Library {
        let ours = load::parse(include_str!("definitions.jq"), |parser| parser.defs()).unwrap_or_default();
        let own: BTreeSet<Name<'_>> = own().map(|native| (native.0, native.1.len())).collect();
        let theirs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
        let theirs = theirs.filter(|def| !own.contains(&(def.name, def.args.len())));
        let definitions = theirs.chain(ours).map(|mut def| {
            let mut check = Check::lenient();
            check.definition(&mut def);
            Definition { def, uses: check.used }
        });
        Library { definitions: definitions.collect(), natives: natives(&own).map(|native| native.0).collect(), own }
    }

    /// Makes a program of an expression.
    ///
    /// # Errors
    /// It is no jq, too large, uses what is not there, or what could run without end or read the process.
    pub fn compile(&self, source: &str) -> Result<Program, Error> {
        if source.len() > LONGEST {
            return Err(Error::Long { at: 0..source.len() });
        }
        // Reading takes stack for each bracket, and how many there are is not known before.
        let reader = thread::Builder::new().name("jq".into()).stack_size(STACK);
        thread::scope(|scope| match reader.spawn_scoped(scope, || self.read(source)) {
            Ok(reader) => reader.join().unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => Err(Error::Unread { at: 0..source.len() }),
        })
    }

    fn read(&self, source: &str) -> Result<Program, Error> {
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
        let natives = natives(&self.own).filter(|native| used.contains(&(native.0, native.1.len()))).collect();
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
            Error::Syntax { expected: lexical(expected, &source[start..end]), at: start..end }
        }
        None => Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() },
    })?;
    Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| match errors.first() {
        Some((expected, Some(found))) => Error::Syntax { expected: described(expected.as_str()), at: place(source, found.0) },
        Some((expected, None)) => Error::Syntax { expected: described(expected.as_str()), at: source.len()..source.len() },
        None => Error::Syntax { expected: "an expression".to_owned(), at: 0..source.len() },
    })
}

/// What stands nowhere in jq, or is not what it began as.
fn lexical(expected: &lex::Expect<&str>, found: &str) -> String {
    let what = match expected {
        lex::Expect::Token => "an expression or an operator",
        lex::Expect::Digit => "a digit",
        lex::Expect::Ident => "a name",
        lex::Expect::Escape => "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u \\(",
        lex::Expect::Unicode => "a character's four hex digits, and no half of a surrogate pair",
        other => other.as_str(),
    };
    if found.is_empty() { what.to_owned() } else { format!("{what}, not `{found}`") }
}

fn described(expected: &str) -> String {
    match expected {
        "term" => "an expression".to_owned(),
        "nothing" => "the end, or an operator such as `|`".to_owned(),
        token if token.len() > 1 && token.contains(' ') || WORDS.contains(&token) => format!("a {token}"),
        token => format!("`{token}`"),
    }
}

fn natives(own_names: &BTreeSet<Name<'static>>) -> impl Iterator<Item = Fun<JustLut<Val>>> {
    let theirs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    theirs.filter(|native| !own_names.contains(&(native.0, native.1.len()))).chain(own())
}

/// Of an expression, in bytes.
const LONGEST: usize = 32 << 10;

/// For an expression of that length that is nothing but brackets, with room to spare; memory is taken only as it is used.
const STACK: usize = 128 << 20;

const MAIN: &str = "sidehook_main";

const WORDS: &[&str] = &["variable", "pattern", "key", "identifier", "argument", "string"];
