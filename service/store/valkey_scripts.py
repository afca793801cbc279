"""What Valkey runs for the store: Lua 5.1, each script on the keys it is given.

A script ends before anything else of the server begins, so a session's token, position and states are
compared and replaced at once. Tokens and positions are compared as the eight bytes they are stored as.
Every check comes before the first write, and what may find a key of another type is called by `pcall`:
an error between writes would leave the rest of the sessions undone.

The head of a record is laid out in `valkey_record`.
"""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Script:
    """Lua, and what the server knows it by once it was sent.

    Attributes:
        sha: SHA-1 of the text, hexadecimal.
    """

    text: bytes
    sha: bytes


def _script(*parts: str) -> Script:
    text = "".join(parts).encode()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())


# A record's key is its partition's list of ids, a colon, and the id.
_SPLIT = """
local function split(key)
  return string.match(key, '^(.-{p%x}:[^:]+):(.*)$')
end
"""

# A key of recent rows that holds something else is replaced: a replay has fewer rows, no session is lost.
_RECENT = """
local function keep_recent(key, rows, num_bytes, px)
  if #rows > 0 then
    local size = redis.pcall('APPEND', key, rows)
    if type(size) ~= 'number' then
      redis.call('SET', key, rows)
    elseif size > 2 * num_bytes then
      redis.call('SET', key, redis.call('GETRANGE', key, -num_bytes, -1))
    end
  end
  redis.call('PEXPIRE', key, px)
end
"""

# Below, KEYS are n records, then, where recent rows are kept, n keys of those, then the lists of ids that
# have the sessions. ARGV begins with n and 1 or 0: whether recent rows are kept.

# ARGV: time to live in ms; bytes of a value; the first 16 bytes that each record must have now, zeros where
# there must be none; the values; where recent rows are kept, bytes to keep at least, the rows, and how many
# bytes of them are each session's, int32.
# Returns which sessions were refused, from 1.
COMMIT = _script(
    _SPLIT,
    _RECENT,
    """
local n, keeps_recent, px, width = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], tonumber(ARGV[4])
local expected, values, rows, row_sizes = ARGV[5], ARGV[6], ARGV[8], ARGV[9]
local none, first_row, last = string.rep('\\0', 16), 1, keeps_recent and 50 or 15
local sub, call, pcall = string.sub, redis.call, redis.pcall
local refused = {}
for i = 1, n do
  local key, wanted = KEYS[i], sub(expected, 16 * i - 15, 16 * i)
  local found = pcall('GETRANGE', key, 0, last)
  local is_new = found == '' and wanted == none
  local is_ours = is_new or type(found) == 'string' and sub(found, 1, 16) == wanted
  if is_ours then
    call('SET', key, sub(values, (i - 1) * width + 1, i * width), 'PX', px)
    if is_new then
      local index, id = split(key)
      pcall('ZADD', index, 0, id)
    end
  else
    refused[#refused + 1] = i
  end
  if keeps_recent then
    local size = struct.unpack('<i4', row_sizes, 4 * i - 3)
    if is_ours then
      -- Rows that do not belong to the record: another session's of this id, or others came after them.
      if sub(found, 51, 51) ~= '\\1' then call('UNLINK', KEYS[n + i]) end
      keep_recent(KEYS[n + i], sub(rows, first_row, first_row + size - 1), tonumber(ARGV[7]), px)
    end
    first_row = first_row + size
  end
end
return refused
""",
)

# ARGV: time to live in ms; the token that each record must have now, zeros where anything is replaced;
# n values; n times recent rows.
# Returns which sessions are refused, from 1: where any is, nothing is written. A record with a token whose
# position is above 0 but below the stored one is passed over: commits have overtaken it.
SAVE = _script(
    _SPLIT,
    """
local n, keeps_recent, px, expected = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4]
local none, refused, is_old = string.rep('\\0', 8), {}, {}
for i = 1, n do
  local wanted = string.sub(expected, 8 * i - 7, 8 * i)
  if wanted ~= none then
    local found = redis.pcall('GETRANGE', KEYS[i], 0, 15)
    if type(found) ~= 'string' or string.sub(found, 1, 8) ~= wanted then
      refused[#refused + 1] = i
    else
      local position = struct.unpack('<i8', ARGV[4 + i], 9)
      is_old[i] = position > 0 and position < struct.unpack('<i8', found, 9)
    end
  end
end
if #refused > 0 then return refused end
for i = 1, n do
  if not is_old[i] then
    redis.call('SET', KEYS[i], ARGV[4 + i], 'PX', px)
    if keeps_recent then redis.call('SET', KEYS[n + i], ARGV[4 + n + i], 'PX', px) end
    local index, id = split(KEYS[i])
    redis.pcall('ZADD', index, 0, id)
  end
end
return refused
""",
)

# KEYS without the lists of ids.
# ARGV: the token to put into each, eight bytes, or '' to leave it; the magic that a record has at 40.
# Returns how many bytes each record and its recent rows have, int32 in pairs, -1 where there is no record and
# -2 where its key is of another type; and all those bytes as one. What is no record of ours is left alone.
LOAD = _script(
    """
local n, keeps_recent, token, magic = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4]
local sizes, loaded = {}, {}
for i = 1, n do
  local record, size, recent = redis.pcall('GET', KEYS[i]), -1, ''
  if type(record) == 'table' then size = -2 end
  if type(record) == 'string' then
    if token ~= '' and string.sub(record, 41, 44) == magic then redis.call('SETRANGE', KEYS[i], 0, token) end
    recent = keeps_recent and redis.pcall('GET', KEYS[n + i])
    if type(recent) ~= 'string' then recent = '' end
    size = #record
    loaded[#loaded + 1], loaded[#loaded + 2] = record, recent
  end
  sizes[i] = struct.pack('<i4i4', size, #recent)
end
return {table.concat(sizes), table.concat(loaded)}
""",
)

# ARGV: the token that each record must have, or '' to delete whatever there is.
# Returns how many there were.
DELETE = _script(
    _SPLIT,
    """
local n, keeps_recent, token, num_deleted = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], 0
for i = 1, n do
  if token == '' or redis.pcall('GETRANGE', KEYS[i], 0, 7) == token then
    local index, id = split(KEYS[i])
    redis.pcall('ZREM', index, id)
    if keeps_recent then redis.call('UNLINK', KEYS[n + i]) end
    num_deleted = num_deleted + redis.call('UNLINK', KEYS[i])
  end
end
return num_deleted
""",
)

# ARGV: when a session that stays was last used at the earliest, seconds.
# Ends the others, and takes off the lists those that ended by themselves. Returns both, from 1.
EXPIRE = _script(
    _SPLIT,
    """
local n, keeps_recent, before, ended = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3]), {}
for i = 1, n do
  local used = redis.pcall('GETRANGE', KEYS[i], 32, 39)
  if type(used) == 'string' and (#used < 8 or struct.unpack('<d', used) < before) then
    local index, id = split(KEYS[i])
    redis.call('UNLINK', KEYS[i])
    if keeps_recent then redis.call('UNLINK', KEYS[n + i]) end
    redis.pcall('ZREM', index, id)
    ended[#ended + 1] = i
  end
end
return ended
""",
)

# KEYS without the lists of ids.
# ARGV: bytes. Returns so many first bytes of each record, '' where there is none.
HEADS = _script(
    """
local heads = {}
for i = 1, tonumber(ARGV[1]) do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, ARGV[3] - 1)
  heads[i] = type(head) == 'string' and head or ''
end
return heads
""",
)

# KEYS: lists of ids. ARGV: bounds as ZRANGEBYLEX has them; how many at most.
# Returns ids of each list, in their order.
IDS = _script(
    """
local ids = {}
for i = 1, #KEYS do
  local found = redis.pcall('ZRANGEBYLEX', KEYS[i], ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[3])
  ids[i] = found.err and {} or found
end
return ids
""",
)

# KEYS: lists of ids. Returns how many they hold together.
COUNT = _script(
    """
local sum = 0
for i = 1, #KEYS do
  local size = redis.pcall('ZLEXCOUNT', KEYS[i], ARGV[1], ARGV[2])
  if type(size) == 'number' then sum = sum + size end
end
return sum
""",
)
