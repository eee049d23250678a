"""Execution: owns the attempts of a job's tasks, and alone says how a task ended.

``core``     the decisions: dispatch, retry, fence, cancel, time out
``ports``    what a report costs
``pricing``  the price of a report, by the economics package
``actor``    the saga
"""
