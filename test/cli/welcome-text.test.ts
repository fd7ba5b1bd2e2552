import { expect, test } from 'vitest'
import { welcomeText } from '../../cli/welcome-text.ts'

const welcome = {
  origin: 'http://127.0.0.1:3000',
  otlpOrigin: 'http://[::1]:4318',
  dataDirectory: '/srv/s',
  isDefaultDirectory: true,
  setupToken: 'once',
  withWeb: true,
}

test('the first start says where to make an account, and where events go', () => {
  const text = welcomeText(welcome)
  expect(text).toContain('http://127.0.0.1:3000/setup?token=once   (works once)')
  expect(text).toContain('http://127.0.0.1:3000/v1/events')
  expect(text).toContain('http://[::1]:4318/v1/logs')
  expect(text).not.toContain('--data')
})

test('lines to copy name a directory that is not the default, as a shell reads it', () => {
  const text = welcomeText({
    ...welcome,
    isDefaultDirectory: false,
    dataDirectory: "/home/ana/it's here",
  })
  const argument = `--data '/home/ana/it'\\''s here'`
  expect(text).toContain(`source-key create first --print key ${argument})`)
  expect(text).toContain(`npm run demo -- ${argument}`)
})

test('a start without dashboard offers no link to it', () => {
  expect(welcomeText({ ...welcome, withWeb: false })).not.toContain('/setup')
})
