"""Writes the forest as a model of MLflow: `python mlflow_model.py GRAPH FOLDER`."""

import sys

import mlflow.onnx
import onnx

mlflow.onnx.save_model(onnx.load(sys.argv[1]), sys.argv[2])
