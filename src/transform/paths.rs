//! Changes at paths, as jq makes them: what is not there is made, and what stays keeps its order.
//!
//! **Invariant:** a path is no longer than an event may be deep, and an array is made larger only by a bounded step.

use jaq_core::Error as JqError;
use jaq_json::{Map, Num, Rc, Val};

use super::natives::{Result, TOO_DEEP, error, whole};
use crate::event::MAX_DEPTH;

/// The steps of a path.
pub(super) fn path(value: &Val) -> Result<&[Val]> {
    match value {
        Val::Arr(path) if path.len() > MAX_DEPTH => Err(error(TOO_DEEP)),
        Val::Arr(path) => Ok(path),
        other => Err(JqError::typ(other.clone(), "array")),
    }
}

/// The value as the step of a path finds a place in it, if it can.
pub(super) fn made(value: Val, step: &Val) -> Val {
    match (value, step) {
        (Val::Null, Val::TStr(_)) => Val::obj(Map::default()),
        (Val::Null, Val::Num(_)) => made(Val::Arr(Rc::default()), step),
        (Val::Arr(mut array), Val::Num(number)) => {
            if let Some(at) = index(number, array.len()).filter(|at| *at >= array.len() && *at <= array.len() + GROWTH) {
                Rc::make_mut(&mut array).resize(at + 1, Val::Null);
            }
            Val::Arr(array)
        }
        (value, _) => value,
    }
}

/// The value with `new` at the path.
pub(super) fn set(value: Val, path: &[Val], new: Val) -> Result {
    let Some((step, rest)) = path.split_first() else { return Ok(new) };
    match (made(value, step), step) {
        (Val::Obj(mut object), Val::TStr(_)) => {
            let place = Rc::make_mut(&mut object).entry(step.clone()).or_default();
            *place = set(std::mem::take(place), rest, new)?;
            Ok(Val::Obj(object))
        }
        (Val::Arr(mut array), Val::Num(number)) => {
            let at = index(number, array.len()).filter(|at| *at < array.len());
            let at = at.ok_or_else(|| error("an index is out of bounds"))?;
            let place = &mut Rc::make_mut(&mut array)[at];
            *place = set(std::mem::take(place), rest, new)?;
            Ok(Val::Arr(array))
        }
        (value, step) => Err(JqError::index(value, step.clone())),
    }
}

/// Of an array of paths with their values, null with those values.
pub(super) fn pick(value: Val) -> Result {
    let Val::Arr(picked) = &value else { return Err(JqError::typ(value, "array")) };
    picked.iter().try_fold(Val::Null, |made, pair| match pair {
        Val::Arr(pair) if pair.len() == 2 => set(made, path(&pair[0])?, pair[1].clone()),
        other => Err(JqError::typ(other.clone(), "path")),
    })
}

/// The value without what the paths lead to.
pub(super) fn delete(value: Val, paths: &Val) -> Result {
    let Val::Arr(paths) = paths else { return Err(JqError::typ(paths.clone(), "array")) };
    let paths: Vec<&[Val]> = paths.iter().map(path).collect::<Result<_>>()?;
    if paths.is_empty() { Ok(value) } else { without(value, &paths) }
}

fn without(value: Val, paths: &[&[Val]]) -> Result {
    if paths.iter().any(|path| path.is_empty()) {
        return Ok(Val::Null);
    }
    match value {
        Val::Null => Ok(Val::Null),
        Val::Obj(mut object) => {
            let ways = ways(paths, |step| if let Val::TStr(_) = step { Ok(Some(step.clone())) } else { Err(()) });
            let ways = ways.map_err(|step| JqError::index(Val::Obj(Rc::clone(&object)), step))?;
            let entries = Rc::make_mut(&mut object);
            for (key, rest) in ways.iter().filter(|(_, rest)| !is_end(rest)) {
                if let Some(place) = entries.get_mut(key) {
                    *place = without(std::mem::take(place), rest)?;
                }
            }
            entries.retain(|key, _| !ways.get(key).is_some_and(|rest| is_end(rest)));
            Ok(Val::Obj(object))
        }
        Val::Arr(mut array) => {
            let length = array.len();
            let ways = ways(paths, |step| match step {
                Val::Num(number) => Ok(index(number, length).filter(|at| *at < length).map(Val::from)),
                _ => Err(()),
            });
            let ways = ways.map_err(|step| JqError::index(Val::Arr(Rc::clone(&array)), step))?;
            let elements = Rc::make_mut(&mut array);
            for (at, rest) in ways.iter().filter(|(_, rest)| !is_end(rest)) {
                if let Val::Num(Num::Int(at)) = at {
                    let place = &mut elements[at.unsigned_abs()];
                    *place = without(std::mem::take(place), rest)?;
                }
            }
            let mut at = 0usize..;
            elements.retain(|_| !at.next().and_then(|at| ways.get(&Val::from(at))).is_some_and(|rest| is_end(rest)));
            Ok(Val::Arr(array))
        }
        other => Err(JqError::index(other, paths[0][0].clone())),
    }
}

/// Whether one of the paths ends here: then nothing of what is here stays.
fn is_end(paths: &[&[Val]]) -> bool {
    paths.iter().any(|path| path.is_empty())
}

/// The rests of the paths by their first steps, those of them that lead somewhere; the step that cannot be made else.
fn ways<'p>(
    paths: &[&'p [Val]],
    place: impl Fn(&Val) -> std::result::Result<Option<Val>, ()>,
) -> std::result::Result<Map<Val, Vec<&'p [Val]>>, Val> {
    let mut ways: Map<Val, Vec<&[Val]>> = Map::default();
    for (step, rest) in paths.iter().filter_map(|path| path.split_first()) {
        if let Some(place) = place(step).map_err(|()| step.clone())? {
            ways.entry(place).or_default().push(rest);
        }
    }
    Ok(ways)
}

/// Where an index is in an array of this length; negative ones count from its end.
fn index(number: &Num, length: usize) -> Option<usize> {
    let Val::Num(number) = whole(Val::Num(number.clone())) else { return None };
    let at = number.as_isize()?;
    if at < 0 { length.checked_sub(at.unsigned_abs()) } else { usize::try_from(at).ok() }
}

/// By how many elements an array may be made larger at once.
const GROWTH: usize = 10_000;
