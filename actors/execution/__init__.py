"""Execution: owns the attempts of a job's tasks, and alone says how a task ended.

``core``        the decisions about tasks: dispatch, retry, fence, cancel, time out
``state``       what is remembered of a job's tasks
``words``       what is said of a task
``hosts``       the decisions about hosts: who stands aside, and for how long
``limits``      how many renders of a provider may be under way
``scaling``     how many hosts the work that waits is worth
``ports``       what it needs of others
``pricing``     the price of a report, by the economics package
``broker``      limits and queues, by the broker's own API
``scaler``      nobody, or an AWS Auto Scaling group
``keeper``      holds the broker to the limits
``autoscaler``  looks at the queues and asks for hosts
``actor``       the three sagas, and the module that each message goes through
"""
