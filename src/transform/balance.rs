//! Long lists of alternatives, steps or entries, as jq reads them, are as deep as they are long: here they become flat trees.

use jaq_core::{
    load::parse::{BinaryOp, Term},
    ops::Math,
};

/// Gives what is written in a row, and may be grouped at will, the smallest depth.
pub(super) fn balance(term: &mut Term<&str>) {
    match term {
        Term::BinOp(_, operator, _) => {
            if let Some(operator) = associative(operator) {
                let operands = operands(std::mem::take(term), &operator);
                *term = tree(operands, &operator);
            }
        }
        Term::Obj(entries) if entries.len() > ROW => {
            let rest = entries.split_off(entries.len() / 2);
            *term = sum(Term::Obj(std::mem::take(entries)), Term::Obj(rest));
        }
        Term::Str(format, parts) if parts.len() > ROW => {
            let rest = parts.split_off(parts.len() / 2);
            *term = sum(Term::Str(*format, std::mem::take(parts)), Term::Str(*format, rest));
        }
        _ => {}
    }
}

fn sum<'s>(left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    Term::BinOp(left.into(), BinaryOp::Math(Math::Add), right.into())
}

fn associative<'s>(operator: &BinaryOp<&'s str>) -> Option<BinaryOp<&'s str>> {
    match operator {
        BinaryOp::And => Some(BinaryOp::And),
        BinaryOp::Comma => Some(BinaryOp::Comma),
        BinaryOp::Or => Some(BinaryOp::Or),
        BinaryOp::Pipe(None) => Some(BinaryOp::Pipe(None)),
        _ => None,
    }
}

/// What `operator` stands between, from left to right.
fn operands<'s>(term: Term<&'s str>, operator: &BinaryOp<&'s str>) -> Vec<Term<&'s str>> {
    let is_same = |other: &BinaryOp<&str>| std::mem::discriminant(other) == std::mem::discriminant(operator);
    let (mut operands, mut todo) = (Vec::new(), vec![term]);
    while let Some(term) = todo.pop() {
        match term {
            Term::BinOp(left, other, right) if is_same(&other) && associative(&other).is_some() => todo.extend([*right, *left]),
            other => operands.push(other),
        }
    }
    operands
}

fn tree<'s>(mut operands: Vec<Term<&'s str>>, operator: &BinaryOp<&'s str>) -> Term<&'s str> {
    let right = operands.split_off(operands.len() / 2);
    match (operands.len(), right.len()) {
        (0, _) => right.into_iter().next().unwrap_or_default(),
        _ => Term::BinOp(tree(operands, operator).into(), operator.clone(), tree(right, operator).into()),
    }
}

/// So many entries or parts are left as they are.
const ROW: usize = 8;
