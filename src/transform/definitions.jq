# Names of jq that jaq does not have, or that are not jq's there.
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def ascii: [.] | implode;
def date: todate;
def dateadd($unit; $n): . + $n;
def datesub($unit; $n): . - $n;
def leaf_paths: paths(scalars);
def toarray: if isarray then . else [.] end;
def toboolean: if isboolean then . elif . == "true" then true elif . == "false" then false else error("cannot parse as boolean") end;
def trimstr($x): ltrimstr($x) | rtrimstr($x);

# Paths; those with slices are left to jaq.
def getpath($path): if ($path | length) > 127 then error("a path has more than 127 steps") else reduce $path[] as $p (.; .[$p]) end;
def setpath($path; $x): if any($path[]; isobject) then getpath($path) = $x else setpath_($path; $x) end;
def delpaths($paths): if any($paths[][]; isobject) then reduce $paths[] as $path (.; getpath($path) |= empty) else delpaths_($paths) end;
def del(f): [path(f)] as $paths | if any($paths[][]; isobject) then f |= empty else delpaths_($paths) end;
def pick(f): [path_value(f)] | pick_;
def tostream: path(def r: (.[]? | r), .; r) as $p | getpath($p) | reduce path(.[]?) as $q ([$p, .]; [$p + $q]);

# Regular expressions
def scan_(re; flags): matches(re; flags)[] | [.[].string] | if length > 1 then .[1:] else .[0] end;
def scan(re; flags): scan_(re; "g" + flags);
def scan(re): scan(re; "");
def sub(re; f; flags): re as $re | flags as $flags | [edits_($re; $flags)[] | if isobject then [f] else . end] | joined_;
def sub(re; f): sub(re; f; "");
def gsub(re; f; flags): sub(re; f; "g" + flags);
def gsub(re; f): sub(re; f; "g");

# Formats
def @text: tostring;
def @base32: tostring | encode_base32;
def @base32d: tostring | decode_base32;
def @csv: map(
    if isnumber or isboolean then tostring
  elif . == null then ""
  elif isstring then "\"" + replace_("\""; "\"\"") + "\""
  else error("neither an array nor an object can stand in a CSV row") end) | join(",");
def @tsv: map(
    if isnumber or isboolean then tostring
  elif . == null then ""
  elif isstring then replace_("\\"; "\\\\") | replace_("\t"; "\\t") | replace_("\n"; "\\n") | replace_("\r"; "\\r")
  else error("neither an array nor an object can stand in a TSV row") end) | join("\t");
