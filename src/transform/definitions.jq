# Names of jq that jaq does not have.
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def ascii: [.] | implode;
def leaf_paths: paths(scalars);
def toarray: if isarray then . else [.] end;
def trimstr($x): ltrimstr($x) | rtrimstr($x);
def @csv: map(
    if isnumber or isboolean then tostring
  elif . == null then ""
  elif isstring then "\"" + (split("\"") | join("\"\"")) + "\""
  else error("neither an array nor an object can stand in a CSV row") end) | join(",");
def @tsv: map(
    if isnumber or isboolean then tostring
  elif . == null then ""
  elif isstring then split("\\") | join("\\\\") | split("\t") | join("\\t") | split("\n") | join("\\n") | split("\r") | join("\\r")
  else error("neither an array nor an object can stand in a TSV row") end) | join("\t");
