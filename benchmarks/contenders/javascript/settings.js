// Node-RED without an editor, and the forest where a function node finds it.
'use strict'

const { Forest } = require('./forest')

module.exports = {
  httpAdminRoot: false,
  httpNodeRoot: false,
  disableEditor: true,
  telemetry: { enabled: false },
  credentialSecret: false,
  functionGlobalContext: { forest: Forest.load(process.env.MODEL) },
  logging: { console: { level: 'warn', metrics: false, audit: false } },
}
