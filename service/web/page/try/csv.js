/** A CSV file as a table of texts; what is wrong with it is told by line. */

const SEPARATORS = [",", ";", "\t"];

/** What is wrong with a file; `message` names the line and, where there is one, the column. */
export class FileError extends Error {
  constructor(words, { line, column } = {}) {
    const place = [line && `line ${line}`, column && `column ${column}`].filter(Boolean).join(", ");
    super(place ? `${place}: ${words}` : words);
    this.name = "FileError";
  }
}

/**
 * @typedef {Object} Table
 * @property {string[]} columns
 * @property {{line: number, cells: string[]}[]} rows
 */

/**
 * Reads a file with or without a heading; without one columns are called `column 1` and so on.
 *
 * @returns {Table} throws `FileError`.
 */
export function readTable(text) {
  const records = [...split(text.replace(/^\uFEFF/, ""))].filter(({ cells }) => cells.length > 1 || cells[0] !== "");
  if (!records.length) throw new FileError("The file is empty: expected rows of a series");
  const isHeading = records[0].cells.some((cell) => !isValue(cell));
  const columns = records[0].cells.map((cell, index) => (isHeading && cell ? cell : `column ${index + 1}`));
  const double = columns.find((column, index) => columns.indexOf(column) !== index);
  if (double) throw new FileError(`found the column ${double} twice: expected distinct names`, { line: records[0].line });
  const rows = isHeading ? records.slice(1) : records;
  if (!rows.length) throw new FileError("found a heading alone: expected rows below it");
  for (const { line, cells } of rows) {
    if (cells.length !== columns.length) throw new FileError(`found ${cells.length} values: expected ${columns.length}, as in the first line`, { line });
  }
  return { columns, rows };
}

/** Whether a text may be a value of a row, and so no heading. */
function isValue(text) {
  return text === "" || !Number.isNaN(Number(text)) || /^(nan|na|null|none)$/i.test(text) || /^\d{4}-\d\d/.test(text);
}

function* split(text) {
  const [first] = text.split("\n", 1);
  const separator = SEPARATORS.reduce((best, each) => (first.split(each).length > first.split(best).length ? each : best));
  let [cells, cell, line, from, isQuoted] = [[], "", 1, 1, false];
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at];
    if (letter === "\n") line += 1;
    if (isQuoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[(at += 1)];
      else isQuoted = false;
    } else if (letter === '"' && cell.trim() === "") {
      [cell, isQuoted] = ["", true];
    } else if (letter === separator) {
      cells.push(cell.trim());
      cell = "";
    } else if (letter === "\n") {
      yield { line: from, cells: [...cells, cell.trim()] };
      [cells, cell, from] = [[], "", line];
    } else {
      cell += letter;
    }
  }
  if (isQuoted) throw new FileError("found a quote that is not closed", { line: from });
  if (cell || cells.length) yield { line: from, cells: [...cells, cell.trim()] };
}
