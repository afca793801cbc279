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

# KEYS: n records, n keys of recent rows where any are kept, the lists of ids.
# ARGV: n; time to live in ms; bytes of a value; the first 16 bytes that each record must have now, zeros
# where there must be none; the values; bytes of recent rows to keep, 0 for none; where not 0, the rows, and
# how many bytes of them are each session's, int32.
# Returns which sessions were refused, from 1.
COMMIT = _script(
    _SPLIT,
    _RECENT,
    """
local n, px, width = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local expected, values, num_recent = ARGV[4], ARGV[5], tonumber(ARGV[6])
local none, first_row = string.rep('\\0', 16), 1
local sub, call, pcall = string.sub, redis.call, redis.pcall
local refused = {}
for i = 1, n do
  local key, wanted = KEYS[i], sub(expected, 16 * i - 15, 16 * i)
  local found = pcall('GETRANGE', key, 0, 15)
  local is_new = found == '' and wanted == none
  local num_bytes = num_recent > 0 and struct.unpack('<i4', ARGV[8], 4 * i - 3) or 0
  if is_new or found == wanted then
    call('SET', key, sub(values, (i - 1) * width + 1, i * width), 'PX', px)
    if is_new then
      local index, id = split(key)
      pcall('ZADD', index, 0, id)
    end
    if num_recent > 0 then
      if is_new then call('UNLINK', KEYS[n + i]) end
      keep_recent(KEYS[n + i], sub(ARGV[7], first_row, first_row + num_bytes - 1), num_recent, px)
    end
  else
    refused[#refused + 1] = i
  end
  first_row = first_row + num_bytes
end
return refused
""",
)

# KEYS: n records, n keys of recent rows, the lists of ids.
# ARGV: n; time to live in ms; the token that each record must have now, zeros where anything is replaced;
# n values; n times recent rows.
# Returns which sessions are refused, from 1: where any is, nothing is written. A record with a token whose
# position is above 0 but below the stored one is passed over: commits have overtaken it.
SAVE = _script(
    _SPLIT,
    """
local n, px, expected = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local none, refused, is_old = string.rep('\\0', 8), {}, {}
for i = 1, n do
  local wanted = string.sub(expected, 8 * i - 7, 8 * i)
  if wanted ~= none then
    local found = redis.pcall('GETRANGE', KEYS[i], 0, 15)
    if type(found) ~= 'string' or string.sub(found, 1, 8) ~= wanted then
      refused[#refused + 1] = i
    else
      local position = struct.unpack('<i8', ARGV[3 + i], 9)
      is_old[i] = position > 0 and position < struct.unpack('<i8', found, 9)
    end
  end
end
if #refused > 0 then return refused end
for i = 1, n do
  if not is_old[i] then
    redis.call('SET', KEYS[i], ARGV[3 + i], 'PX', px)
    local recent = ARGV[3 + n + i]
    if #recent > 0 then
      redis.call('SET', KEYS[n + i], recent, 'PX', px)
    else
      redis.call('UNLINK', KEYS[n + i])
    end
    local index, id = split(KEYS[i])
    redis.pcall('ZADD', index, 0, id)
  end
end
return refused
""",
)

# KEYS: n records, n keys of recent rows.
# ARGV: n; the token to put into each, eight bytes, or '' to leave it; the magic that a record has at 40.
# Returns for each the record and its recent rows: a record that is none of ours is left alone and returned,
# 0 stands for a key of another type.
LOAD = _script(
    """
local n, token, magic = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local loaded = {}
for i = 1, n do
  local record = redis.pcall('GET', KEYS[i])
  if type(record) == 'table' then record = 0 end
  local recent = ''
  if record and record ~= 0 then
    recent = redis.pcall('GET', KEYS[n + i])
    if type(recent) ~= 'string' then recent = '' end
    if token ~= '' and string.sub(record, 41, 44) == magic then redis.call('SETRANGE', KEYS[i], 0, token) end
  end
  loaded[2 * i - 1], loaded[2 * i] = record, recent
end
return loaded
""",
)

# KEYS: the record, its recent rows, the list of ids. Returns 1 where there was one.
DELETE = _script(
    _SPLIT,
    """
local index, id = split(KEYS[1])
redis.pcall('ZREM', index, id)
redis.call('UNLINK', KEYS[2])
return redis.call('UNLINK', KEYS[1])
""",
)

# KEYS: n records, n keys of recent rows, the lists of ids.
# ARGV: n; when a session that stays was last used at the earliest, seconds.
# Ends the others, and takes off the lists those that ended by themselves. Returns both, from 1.
EXPIRE = _script(
    _SPLIT,
    """
local n, before, ended = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
for i = 1, n do
  local used = redis.pcall('GETRANGE', KEYS[i], 32, 39)
  if type(used) == 'string' and (#used < 8 or struct.unpack('<d', used) < before) then
    local index, id = split(KEYS[i])
    redis.call('UNLINK', KEYS[i], KEYS[n + i])
    redis.pcall('ZREM', index, id)
    ended[#ended + 1] = i
  end
end
return ended
""",
)

# KEYS: n records. ARGV: n; bytes. Returns so many first bytes of each, '' where there are none.
HEADS = _script(
    """
local heads = {}
for i = 1, tonumber(ARGV[1]) do
  local head = redis.pcall('GETRANGE', KEYS[i], 0, ARGV[2] - 1)
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
  local size = redis.pcall('ZCARD', KEYS[i])
  if type(size) == 'number' then sum = sum + size end
end
return sum
""",
)
