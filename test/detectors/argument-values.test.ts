import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { argumentValues, classifyValue } from '../../analytics/detectors/argument-values.ts'

describe('what of a value carries its habit', () => {
  test.each([
    ['Ann@Corp.Example', 'mail domain', 'corp.example'],
    ['mailto:ann@mail.corp.example', 'mail domain', 'corp.example'],
    ['ann@corp.co.uk', 'mail domain', 'corp.co.uk'],
    ['https://api.corp.example:8443/v1?x=1', 'host', 'corp.example'],
    ['https://corp.example./', 'host', 'corp.example'],
    ['https://user:secret@corp.example/', 'host', 'corp.example'],
    ['corp.example', 'host', 'corp.example'],
    ['https://attacker.github.io/x', 'host', 'attacker.github.io'],
    ['https://bucket.s3.amazonaws.com/x', 'host', 'bucket.s3.amazonaws.com'],
    ['http://10.1.2.3/', 'host', '10.1.2.0/24'],
    ['http://[::1]:80/', 'host', '[::1]'],
    ['/srv/reports/q3.csv', 'folder', '/srv/reports'],
    ['/srv/reports/', 'folder', '/srv/reports'],
    ['/a/b/c/d/e/f/g', 'folder', '/a/b/c/d/e'],
    ['/passwd', 'folder', '/'],
    ['C:\\Users\\ann\\x.txt', 'folder', 'C:/Users/ann'],
    ['~/notes/x', 'folder', '~/notes'],
    ['./x', 'folder', '.'],
    ['solved', 'value', 'solved'],
    ['rm -rf /', 'value', 'rm -rf /'],
  ])('%s is the %s %s', (value, kind, key) => {
    expect(classifyValue(value)).toEqual({ kind, key })
  })

  test.each([
    [
      'what stands before an @ beyond the host',
      'https://evil.example?@corp.example/',
      'evil.example',
    ],
    ['the same after a fragment', 'https://evil.example#@corp.example/', 'evil.example'],
    ['the same after a backslash', 'https://evil.example\\@corp.example/', 'evil.example'],
    ['a user named like a known host', 'https://corp.example@evil.example/', 'evil.example'],
    ['two users', 'https://corp.example@corp.example@evil.example/', 'evil.example'],
    ['a neighbour below co.uk', 'https://evil.co.uk/', 'evil.co.uk'],
    ['a detour through a known folder', '/srv/reports/2026/q3/a/../../../../../etc/passwd', '/etc'],
    ['a detour above the root', '/srv/../../../etc/passwd', '/etc'],
    ['a detour with dots and doubled slashes', '/srv/reports/.//../../etc/passwd', '/etc'],
    ['a detour out of the folder of the program', './reports/../../secrets/x', './../secrets'],
  ])('%s leads where it leads', (_name, value, key) => {
    expect(classifyValue(value).key).toBe(key)
  })
})

describe('the values of arguments', () => {
  test('each recipient of a list is a value, whatever he is called', () => {
    const to = 'ann@corp.example; "Doe, John" <john@corp.example>,Eve <eve@evil.example>, '
    expect(argumentValues({ to })).toEqual(
      ['ann@corp.example', 'john@corp.example', 'eve@evil.example'].map((value) => ({
        path: 'to',
        value,
      })),
    )
    const text = 'write to ann@corp.example, please'
    expect(argumentValues({ text })).toEqual([{ path: 'text', value: text }])
  })

  test('are few and bounded, whatever comes, in little time', () => {
    const started = performance.now()
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 12 }), (args) => {
        const found = argumentValues(args as Parameters<typeof argumentValues>[0])
        expect(found.length).toBeLessThanOrEqual(48)
        for (const { value } of found)
          expect(classifyValue(value).key.length).toBeLessThanOrEqual(600)
      }),
      { numRuns: 500 },
    )
    for (const piece of ['a@', '<', '"', ',"', '../', '/', '\\', '@a.', 'a.', 'x://', ' ', '\0']) {
      for (const length of [511, 4095, 200_000]) {
        const text = piece.repeat(Math.ceil(length / piece.length)).slice(0, length)
        for (const { value } of argumentValues({ text })) classifyValue(value)
      }
    }
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
