#!/usr/bin/env node
// Verifies a Sealtrail evidence bundle with nothing but Node.js (18 or later). Usage:
//
//   node verify.mjs VKEY [FOLDER] [--witness VKEY]...
//
// VKEY is the public key of the log, from a place that the log's operator cannot rewrite. The key inside the bundle is
// never trusted. Each --witness names one who must have cosigned the checkpoint. Exit status 0: everything verifies. 1: something does not, and the first thing is named.
//
// Formats: RFC 6962 (trees), C2SP signed-note, tlog-checkpoint, tlog-proof@v1; RFC 8785 (canonical JSON).

import { createHash, createPublicKey, verify as verifySignature } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const positional = []
const witnessKeys = []
for (let args = process.argv.slice(2); args.length > 0; args = args.slice(1)) {
  if (args[0] === '--witness') {
    args = args.slice(1)
    witnessKeys.push(args[0])
  } else positional.push(args[0])
}
const [vkey, folder = '.'] = positional
if (vkey === undefined || positional.length > 2 || witnessKeys.includes(undefined)) {
  process.stderr.write('usage: node verify.mjs VKEY [FOLDER] [--witness VKEY]...\n')
  process.exit(2)
}

class Refused extends Error {}
const refuse = (why) => {
  throw new Refused(why)
}
const sha256 = (...parts) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const read = (name) => {
  try {
    return readFileSync(join(folder, name))
  } catch (error) {
    return refuse(`${name} cannot be read (${error.code})`)
  }
}
const parse = (text, where) => {
  try {
    return JSON.parse(text)
  } catch {
    return refuse(`${where} is not JSON`)
  }
}
const readText = (name) => {
  const bytes = read(name)
  const text = bytes.toString('utf8')
  if (!Buffer.from(text, 'utf8').equals(bytes)) refuse(`${name} is not UTF-8`)
  return text
}
const fromBase64 = (text) => {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) refuse(`not base64: ${text.slice(0, 40)}`)
  return bytes
}
const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{${Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`)
    .join(',')}}`
}
/** A file that must be canonical JSON, byte for byte: nothing may hide in blanks or doubled keys. */
const readCanonical = (name, end = '\n') => {
  const text = readText(name)
  const value = parse(text, name)
  if (`${canonical(value)}${end}` !== text) refuse(`${name} is not canonical JSON`)
  return value
}

// -- RFC 6962
const leafHash = (leaf) => sha256(Buffer.of(0), leaf)
const nodeHash = (left, right) => sha256(Buffer.of(1), left, right)
const subtrees = (from, until) => {
  const levels = []
  for (let at = from; at < until; ) {
    let level = 0
    while (at % 2 ** (level + 1) === 0 && at + 2 ** (level + 1) <= until) level++
    levels.push(level)
    at += 2 ** level
  }
  return levels
}
class Frontier {
  stack = []
  append(level, hash) {
    while (this.stack.length > 0 && this.stack.at(-1).level === level) {
      hash = nodeHash(this.stack.pop().hash, hash)
      level++
    }
    this.stack.push({ level, hash })
  }
  root() {
    return this.stack.map(({ hash }) => hash).reduceRight((right, left) => nodeHash(left, right))
  }
}
const rangeRoot = ({ from, until, size, hashes }, leafHashes) => {
  const left = subtrees(0, from)
  const right = subtrees(until, size)
  if (leafHashes.length !== until - from || hashes.length !== left.length + right.length)
    refuse('the range proof has the wrong length')
  const frontier = new Frontier()
  for (const [i, level] of left.entries()) frontier.append(level, hashes[i])
  for (const hash of leafHashes) frontier.append(0, hash)
  for (const [i, level] of right.entries()) frontier.append(level, hashes[left.length + i])
  return frontier.root()
}
const included = (leaf, index, size, proof, root) => {
  let node = index
  let last = size - 1
  let hash = leafHash(leaf)
  if (index >= size) return false
  for (const sibling of proof) {
    if (last === 0) return false
    if (node % 2 === 1 || node === last) {
      hash = nodeHash(sibling, hash)
      while (node % 2 === 0 && node !== 0) {
        node /= 2
        last = Math.floor(last / 2)
      }
    } else hash = nodeHash(hash, sibling)
    node = Math.floor(node / 2)
    last = Math.floor(last / 2)
  }
  return last === 0 && hash.equals(root)
}

// -- C2SP signed-note, tlog-checkpoint and tlog-cosignature, with Ed25519
const ed25519Type = 1
const cosignatureType = 4
const parseKey = (text, type) => {
  const first = text.indexOf('+')
  const second = text.indexOf('+', first + 1)
  const name = text.slice(0, first)
  const key = fromBase64(text.slice(second + 1))
  if (first < 1 || second < 0 || key.length !== 33 || key[0] !== type)
    refuse(`the verifier key is malformed: ${text.slice(0, 80)}`)
  const keyId = sha256(name, '\n', key).subarray(0, 4)
  if (keyId.toString('hex') !== text.slice(first + 1, second))
    refuse('the id of the verifier key is wrong')
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key.subarray(1)])
  return { name, keyId, publicKey: createPublicKey({ key: spki, format: 'der', type: 'spki' }) }
}
/** The one signature of a key; signatures of keys that are not known are nobody's business (C2SP). */
const signatureOf = ({ name, keyId }, note) => {
  const lines = note.slice(note.lastIndexOf('\n\n') + 2).split('\n')
  if (lines.pop() !== '') refuse('the checkpoint ends in the middle of a line')
  const found = []
  for (const line of lines) {
    const match = /^\u2014 ([^ ]+) ([A-Za-z0-9+/=]+)$/.exec(line)
    if (match === null) refuse('a signature line of the checkpoint is malformed')
    const bytes = fromBase64(match[2])
    if (match[1] === name && bytes.subarray(0, 4).equals(keyId)) found.push(bytes.subarray(4))
  }
  if (found.length > 1) refuse(`${name} signed twice`)
  return found[0]
}
const openCheckpoint = (note, keyText = keyInForce) => {
  const key = parseKey(keyText, ed25519Type)
  const split = note.lastIndexOf('\n\n')
  const text = note.slice(0, split + 1)
  const signature = split < 0 ? undefined : signatureOf(key, note)
  if (signature === undefined) refuse('the checkpoint is not signed by this key')
  if (!verifySignature(null, Buffer.from(text), key.publicKey, signature))
    refuse('the signature of the checkpoint does not verify')
  const [origin, size, root, end, ...more] = text.split('\n')
  if (origin !== key.name || !/^[1-9]\d*$/.test(size) || end !== '' || more.length > 0)
    refuse('the checkpoint is malformed')
  return { origin, size: Number(size), root: fromBase64(root) }
}
/** A witness signs a time with the text: then, this was the largest tree of the log that it knew. */
const checkCosignature = (witnessKey, note) => {
  const key = parseKey(witnessKey, cosignatureType)
  const signature = signatureOf(key, note)
  if (signature === undefined || signature.length !== 72)
    refuse(`the checkpoint is not cosigned by ${key.name}`)
  const seconds = signature.readBigUInt64BE(0)
  const text = note.slice(0, note.lastIndexOf('\n\n') + 1)
  const message = Buffer.from(`cosignature/v1\ntime ${seconds}\n${text}`)
  if (!verifySignature(null, message, key.publicKey, signature.subarray(8)))
    refuse(`the cosignature of ${key.name} does not verify`)
  return `cosigned by ${key.name} at ${new Date(Number(seconds) * 1000).toISOString()}\n`
}
/** The key of the checkpoint: the one that was given, or where its log changed it, the one that it leads to. */
let keyInForce = vkey
const checkTlogProof = (text, leaf, expectedNote, keyText = keyInForce) => {
  const match =
    /^c2sp\.org\/tlog-proof@v1\nindex (0|[1-9]\d*)\n((?:[A-Za-z0-9+/=]+\n)*)\n([\s\S]*)$/.exec(text)
  if (match === null) refuse('a tlog-proof is malformed')
  if (expectedNote !== undefined && match[3] !== expectedNote)
    refuse('a tlog-proof has another checkpoint than the bundle')
  const { size, root } = openCheckpoint(match[3], keyText)
  const hashes = match[2].split('\n').slice(0, -1).map(fromBase64)
  if (!included(leaf, Number(match[1]), size, hashes, root))
    refuse(`the leaf is not at index ${match[1]}`)
  return Number(match[1])
}

// -- what was erased: the export leaf commits to it

/** Rows that the statement calls erased must be closed; bundles of before say nothing of it. */
function erasedLines(erased, closed) {
  if (erased === undefined) return ''
  const sum = erased.by.reduce((total, { rows }) => total + rows, 0)
  if (sum !== erased.rows || erased.rows > closed)
    refuse('the statement calls more rows erased than are closed')
  return erased.by
    .map(({ leaf, recordedAt, action, ground, rows }) =>
      leaf === null
        ? `${rows} rows are closed for good, and no leaf is named that says so.\n`
        : `${rows} rows ${action === 'shred' ? 'shredded' : 'erased'} by leaf ${leaf}, complete on ${String(recordedAt).slice(0, 10)}: ${ground}.\n`,
    )
    .join('')
}

// -- Sealtrail leaf v1: clear fields, and commitments to the sealed groups
let closedGroups = 0
let closedRows = 0
const parseLeaf = (index, leaf) => {
  const value = parse(leaf.toString('utf8'), `leaf ${index}`)
  if (!Buffer.from(canonical(value), 'utf8').equals(leaf))
    refuse(`leaf ${index} is not canonical JSON`)
  return value
}
const openLeaf = (index, leaf, openings) => {
  const {
    'leaf.v': version,
    'leaf.commitments': commitments = {},
    'leaf.payload_sha256': _p,
    'leaf.payload_bytes': _b,
    ...event
  } = parseLeaf(index, leaf)
  if (version !== 1) refuse(`leaf ${index} has an unknown version`)
  for (const group of Object.keys(commitments))
    if (!openings.some((opening) => opening.group === group)) closedGroups++
  for (const { group, salt, plaintext } of openings) {
    const expected = sha256(
      'sealtrail/commitment/v1',
      Buffer.of(0),
      group,
      Buffer.of(0),
      fromBase64(salt),
      plaintext,
    ).toString('hex')
    if (commitments[group] !== expected)
      refuse(`leaf ${index}: group ${group} is not what the leaf commits to`)
    for (const [key, value] of Object.entries(JSON.parse(plaintext))) {
      if (Object.hasOwn(event, key)) refuse(`leaf ${index}: field ${key} stands twice`)
      event[key] = value
    }
  }
  return event
}

/**
 * A leaf of the log itself names its next key, in a tree that the key before and the next one both signed. From the key
 * that was given the rotations lead on; those before it are not needed.
 */
const followRotations = (files) => {
  const indexes = files
    .flatMap(({ name }) => /^rotation-(\d+)\.leaf$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  const steps = indexes.map((index) => {
    const leaf = read(`rotation-${index}.leaf`)
    const value = parseLeaf(index, leaf)
    if (
      value['leaf.v'] !== 1 ||
      value['event.class'] !== 'admin' ||
      value['source.id'] !== 'sealtrail' ||
      value['admin.action'] !== 'key.rotate'
    )
      refuse(`rotation-${index}.leaf rotates no key`)
    return {
      index,
      leaf,
      next: value['admin.target'],
      proof: readText(`rotation-${index}.tlog-proof`),
    }
  })
  for (const { index, leaf, next, proof } of steps.slice(
    steps.findLastIndex((step) => step.next === vkey) + 1,
  )) {
    const from = parseKey(keyInForce, ed25519Type)
    const to = parseKey(next, ed25519Type)
    if (from.name !== to.name || from.keyId.equals(to.keyId))
      refuse(`rotation-${index}.leaf names the key of another log, or one that looks the same`)
    for (const key of [keyInForce, next])
      if (checkTlogProof(proof, leaf, undefined, key) !== index)
        refuse(`rotation-${index}.leaf is at another index`)
    keyInForce = next
  }
}

/** Everything a bundle holds: each of these is checked below against the log, whatever the manifest says of it. */
const knownName =
  /^(events\.ndjson|events\.csv|leaves\.ndjson|range-proof\.json|export\.leaf|export\.statement\.json|export\.tlog-proof|checkpoint|vkey|(proofs|rotation)-\d+\.(leaf|tlog-proof))$/

const lines = (name) => {
  const text = readText(name)
  if (text !== '' && !text.endsWith('\n')) refuse(`${name} ends in the middle of a line`)
  return text.split('\n').slice(0, -1)
}

try {
  // 1. The manifest names every file of the folder, and their hashes.
  const manifest = readCanonical('manifest.json')
  if (manifest.format !== 'sealtrail-evidence/v1') refuse('the manifest is of an unknown format')
  const unlisted = new Set(readdirSync(folder))
  for (const name of ['manifest.json', 'verify.mjs', 'VERIFY.md']) unlisted.delete(name)
  const kinds = Object.keys(manifest).join()
  if (kinds !== 'commitment,exportLeaf,files,format') refuse('manifest.json has unknown members')
  for (const file of manifest.files) {
    const { name, sha256: hash, sizeBytes } = file
    if (Object.keys(file).join() !== 'name,sha256,sizeBytes')
      refuse(`manifest.json has unknown members at ${name}`)
    if (!knownName.test(name) || !unlisted.delete(name) || !lstatSync(join(folder, name)).isFile())
      refuse(`${name} is missing, listed twice, or no part of a bundle`)
    const bytes = read(name)
    if (bytes.length !== sizeBytes || sha256(bytes).toString('hex') !== hash)
      refuse(`${name} is not the file that the manifest names`)
  }
  if (unlisted.size > 0) refuse(`${[...unlisted][0]} is not in the manifest`)

  // 2. The checkpoint is signed by the key that was given, and the one in the bundle is that key.
  followRotations(manifest.files)
  const note = readText('checkpoint')
  const { origin, size, root } = openCheckpoint(note)
  const cosigned = witnessKeys.map((key) => checkCosignature(key, note))
  if (readText('vkey') !== `${keyInForce}\n`)
    refuse('the bundle names another verifier key than yours')

  // 3. The export leaf is in the log, and commits to the statement: query, range, hashes of the rows.
  const exportLeaf = read('export.leaf')
  if (checkTlogProof(readText('export.tlog-proof'), exportLeaf, note) !== manifest.exportLeaf)
    refuse('the export leaf is at another index')
  const statement = readCanonical('export.statement.json', '')
  const commitment = sha256(canonical(statement)).toString('hex')
  const exported = parseLeaf(manifest.exportLeaf, exportLeaf)
  if (
    exported['leaf.v'] !== 1 ||
    exported['event.class'] !== 'access' ||
    exported['source.id'] !== 'sealtrail' ||
    exported['admin.action'] !== 'export' ||
    exported['admin.commitment'] !== commitment ||
    manifest.commitment !== commitment
  ) {
    refuse('the export leaf commits to another statement')
  }
  if (!origin.endsWith(`/${statement.log}`)) refuse('the export leaf is about another log')
  if (statement.files.map(({ name }) => name).join() !== 'events.ndjson,events.csv,leaves.ndjson')
    refuse('the export leaf commits to other files than the rows and the leaves')
  const listed = new Map(manifest.files.map((file) => [file.name, file]))
  for (const file of statement.files) {
    if (canonical(listed.get(file.name) ?? null) !== canonical(file))
      refuse(`${file.name} is not the file that the export leaf commits to`)
  }

  // 4. Every leaf of the range is there, as leaf or as hash, and together they give the signed root.
  const proof = readCanonical('range-proof.json')
  if (
    proof.size !== size ||
    proof.from !== statement.firstLeaf ||
    proof.until !== statement.untilLeaf
  )
    refuse('the range proof is about another range')
  const hashes = []
  const events = []
  for (const line of lines('leaves.ndjson')) {
    const entry = parse(line, 'a line of leaves.ndjson')
    if (canonical(entry) !== line) refuse('a line of leaves.ndjson is not canonical JSON')
    if (entry.index !== proof.from + hashes.length)
      refuse(`leaf ${proof.from + hashes.length} is missing`)
    if (entry.leaf === undefined) hashes.push(fromBase64(entry.hash))
    else {
      const leaf = fromBase64(entry.leaf)
      hashes.push(leafHash(leaf))
      const closedBefore = closedGroups
      events.push({ leaf_index: entry.index, event: openLeaf(entry.index, leaf, entry.openings) })
      if (entry.openings.length === 0 && closedGroups > closedBefore) closedRows++
    }
  }
  const total = rangeRoot({ ...proof, hashes: proof.hashes.map(fromBase64) }, hashes)
  if (!total.equals(root)) refuse('the leaves do not give the root of the checkpoint')

  // 5. The rows are what the leaves say, one for one.
  const rows = lines('events.ndjson')
  if (rows.length !== events.length || rows.length !== statement.rows)
    refuse('events.ndjson has another number of rows than the export leaf states')
  rows.forEach((row, i) => {
    const time = events[i].event['time.occurred']
    if (!(time >= statement.from && time < statement.until))
      refuse(`row ${i + 1} of events.ndjson is outside the time range of the export`)
    if (row !== canonical(events[i]))
      refuse(`row ${i + 1} of events.ndjson is not what leaf ${events[i].leaf_index} says`)
  })

  // 6. The single proofs that come along.
  for (const { name } of manifest.files) {
    const index = /^proofs-(\d+)\./.exec(name)?.[1]
    if (index === undefined) continue
    if (!listed.has(`proofs-${index}.leaf`) || !listed.has(`proofs-${index}.tlog-proof`))
      refuse(`${name} lacks its other half`)
    const single = read(`proofs-${index}.leaf`)
    if (checkTlogProof(readText(`proofs-${index}.tlog-proof`), single, note) !== Number(index))
      refuse(`${name} is at another index`)
  }
  process.stdout.write(
    `OK: ${rows.length} rows, ${hashes.length === 0 ? 'no leaves' : `leaves ${proof.from} to ${proof.until - 1}`} of ${size}, root ${root.toString('hex')}\n` +
      `${cosigned.join('')}` +
      `query ${JSON.stringify(statement.query)} from ${statement.from} until ${statement.until}, export leaf ${manifest.exportLeaf}\n` +
      `${erasedLines(statement.erased, closedRows)}` +
      `${closedGroups} sealed groups of these rows are not opened: erased, or withheld from who exported.\n` +
      'events.csv is bound by its hash; events.ndjson is re-derived from the leaves.\n',
  )
} catch (error) {
  process.stderr.write(
    `REFUSED: ${error instanceof Refused ? error.message : `the bundle is malformed: ${error.message}`}\n`,
  )
  process.exitCode = 1
}
