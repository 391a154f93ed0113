// The forest behind both peers: readings in, answers out, one run of the session for all of them.
'use strict'

const ort = require('onnxruntime-node')

const READINGS = 'plant/l1/+/telemetry'
const SIGNALS = ['pressure', 'flow', 'temperature', 'current', 'vibration', 'speed', 'level', 'torque']
const THREADS = { intraOpNumThreads: 1, interOpNumThreads: 1 } // as the agent's session

class Forest {
  static async load(path) {
    return new Forest(await ort.InferenceSession.create(path, THREADS))
  }

  constructor(session) {
    this.session = session
  }

  // Returns the answer to each of the parsed readings, in their order.
  async infer(readings) {
    const rows = new Float32Array(readings.length * SIGNALS.length)
    let at = 0
    for (const reading of readings) {
      for (const signal of SIGNALS) rows[at++] = reading[signal]
    }
    const window = new ort.Tensor('float32', rows, [readings.length, 1, SIGNALS.length])
    const { value, score } = await this.session.run({ window })
    return readings.map(({ timestamp }, i) => ({
      value: Number(value.data[i]),
      score: score.data[i],
      timestamp,
    }))
  }
}

function answerTopic(readingTopic) {
  return readingTopic.replace('telemetry', '_inference/forest')
}

module.exports = { Forest, READINGS, answerTopic }
