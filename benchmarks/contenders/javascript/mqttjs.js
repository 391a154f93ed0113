// mqtt.js with onnxruntime-node, written with care: one connection, one run of the session for
// whatever has arrived while the last was under way, answers at the QoS of the readings.
// Usage: node mqttjs.js MODEL PORT QOS
'use strict'

const mqtt = require('mqtt')
const { Forest, READINGS, answerTopic } = require('./forest')

async function main(model, port, qos) {
  const forest = await Forest.load(model)
  const session = { clientId: 'mqttjs', clean: false, keepalive: 600 }
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, session)
  let arrived = []
  let busy = false

  async function answer() {
    while (arrived.length > 0) {
      const messages = arrived
      arrived = []
      const answers = await forest.infer(messages.map(({ payload }) => JSON.parse(payload)))
      messages.forEach(({ topic }, i) =>
        client.publish(answerTopic(topic), JSON.stringify(answers[i]), { qos }))
    }
    busy = false
  }

  client.on('connect', () => {
    client.stream.setNoDelay(true)
    client.subscribe(READINGS, { qos })
  })
  client.on('message', (topic, payload) => {
    arrived.push({ topic, payload })
    if (!busy) {
      busy = true
      setImmediate(answer)
    }
  })
}

const [model, port, qos] = process.argv.slice(2)
main(model, port, Number(qos))
